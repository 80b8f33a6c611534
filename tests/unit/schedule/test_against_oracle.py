"""The engine and the oracle agree on every firing around the changes of the clock of the zones that are known to be hard."""

from bisect import bisect_right
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.cron import Dst
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.schedule_text import MICROS
from ledger.core.tzif import load_offsets, zone_names
from ledger.core.zones import ERA
from tests.unit.schedule.expressions import exclusions, unions
from tests.unit.schedule.oracle import Stretch, offset_at, zone_info

HOUR = 3600
POLICIES: tuple[Dst, ...] = ("vixie", "cronos", "literal", "last")
SINCE, TO = 0, 2_145_916_800  # 1970 to 2037
ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Europe/Riga",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Amman",
    "Asia/Beirut",
    "America/Santiago",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/Havana",
    "Antarctica/Troll",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Africa/Monrovia",
    "Africa/El_Aaiun",
    "Asia/Gaza",
    "Asia/Hebron",
    "Asia/Jerusalem",
    "Asia/Tehran",
    "Asia/Damascus",
    "Asia/Kabul",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Asia/Yangon",
    "Asia/Ho_Chi_Minh",
    "Asia/Manila",
    "Asia/Vladivostok",
    "Asia/Kamchatka",
    "Asia/Almaty",
    "America/Sao_Paulo",
    "America/Asuncion",
    "America/Caracas",
    "America/St_Johns",
    "America/Nuuk",
    "America/Scoresbysund",
    "America/Anchorage",
    "America/Adak",
    "America/Metlakatla",
    "America/Phoenix",
    "America/Mexico_City",
    "America/Tijuana",
    "America/Bogota",
    "America/Argentina/San_Luis",
    "America/Port-au-Prince",
    "America/Miquelon",
    "Atlantic/Azores",
    "Atlantic/Stanley",
    "Antarctica/Casey",
    "Antarctica/Macquarie",
    "Antarctica/Vostok",
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Moscow",
    "Europe/Istanbul",
    "Europe/Samara",
    "Europe/Volgograd",
    "Europe/Chisinau",
    "Africa/Juba",
    "Africa/Khartoum",
    "Africa/Tripoli",
    "Africa/Windhoek",
    "Africa/Sao_Tome",
    "Pacific/Auckland",
    "Pacific/Kiritimati",
    "Pacific/Kwajalein",
    "Pacific/Easter",
    "Pacific/Fiji",
    "Pacific/Tongatapu",
    "Pacific/Fakaofo",
    "Pacific/Norfolk",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Australia/Eucla",
    "UTC",
]


def changes(zone: str) -> list[int]:
    """Only where to look; whether they are right is `test_the_offsets_are_those_of_zoneinfo`."""
    segments = list(load_offsets(zone).segments(SINCE, TO))
    return [segment.start for segment in segments[1:]] or [1_000_000_000]


def micros(seconds: int) -> int:
    return seconds * MICROS


def schedule(cron: list[str], zone: str, dst: Dst, exclude: list[str]) -> Schedule:
    return Schedule.from_spec(ScheduleSpec(cron=tuple(text.upper() for text in cron), timezone=zone, dst=dst, exclude=tuple(exclude)))


def assert_agrees(stretch: Stretch, cron: list[str], zone: str, dst: Dst, exclude: list[str], probe: int) -> None:
    expected = [micros(one) for one in stretch.firings(cron, dst, exclude)]
    after, until = micros(stretch.after), micros(stretch.until)
    tested = schedule(cron, zone, dst, exclude)
    assert list(tested.between_us(after, until)) == expected
    assert tested.count_us(after, until) == len(expected)
    assert tested.latest_us(after, until) == (expected[-1] if expected else None)
    following = expected[bisect_right(expected, probe) :]
    found = tested.next_us(probe)
    if following:
        assert found == following[0]
    else:
        assert found is None or found > until
    assert tested.count_us(probe, until) == len(following)


@pytest.mark.parametrize("zone", ZONES)
@given(
    cron=unions(),
    exclude=exclusions(),
    that_day_too=st.booleans(),
    around=st.sampled_from([(5 * HOUR, 5 * HOUR), (26 * HOUR, 26 * HOUR), (HOUR, 3 * HOUR)]),
    data=st.data(),
)
@settings(max_examples=12, deadline=None)
def test_every_firing_around_a_change_of_the_clock(
    zone: str, cron: list[str], exclude: list[str], that_day_too: bool, around: tuple[int, int], data: st.DataObject
) -> None:
    change = data.draw(st.sampled_from(changes(zone)))
    stretch = Stretch(zone, change - around[0], change + around[1], 900)
    if around[0] > 5 * HOUR:  # not every second of two days
        cron = [f"0{text[1:]}" if text.count(" ") == 5 and text[0] == "*" else text for text in cron]
    if exclude and that_day_too:
        exclude = [*exclude, (datetime(1970, 1, 1) + timedelta(seconds=change)).date().isoformat()]
    probe = data.draw(st.integers(micros(stretch.after), micros(stretch.until)))
    for dst in POLICIES:
        assert_agrees(stretch, cron, zone, dst, exclude, probe)


@given(
    cron=unions(),
    zone=st.sampled_from(ZONES),
    when=st.datetimes(datetime(1970, 1, 2), datetime(2150, 1, 1)),
    dst=st.sampled_from(POLICIES),
    days=st.sampled_from([1, 1, 40]),
)
@settings(max_examples=60, deadline=None)
def test_every_firing_at_any_time(cron: list[str], zone: str, when: datetime, dst: Dst, days: int) -> None:
    if days > 1:
        cron = [text if text[0] == "@" else " ".join(["0", "30", *text.split()[-4:]]) for text in cron]
    after = (when - datetime(1970, 1, 1)) // timedelta(seconds=1)
    stretch = Stretch(zone, after, after + days * 24 * HOUR, HOUR)
    assert_agrees(stretch, cron, zone, dst, [], micros(after) + 1)


@given(every=st.integers(1, 7200), offset=st.integers(0, 7199), exclude=exclusions(), zone=st.sampled_from(ZONES), data=st.data())
@settings(max_examples=60, deadline=None)
def test_intervals_are_aligned_to_the_epoch(every: int, offset: int, exclude: list[str], zone: str, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(changes(zone))) - data.draw(st.sampled_from([HOUR, 3 * HOUR + 1]))
    offset %= every
    stretch = Stretch(zone, at, at + 6 * HOUR, 900)
    aligned = [one for one in range(at + 1, at + 6 * HOUR + 1) if (one - offset) % every == 0]
    expected = [micros(one) for one in stretch.without(aligned, exclude)]
    tested = Schedule.from_spec(ScheduleSpec(every_ms=every * 1000, offset_ms=offset * 1000, timezone=zone, exclude=tuple(exclude)))
    assert list(tested.between_us(micros(at), micros(at + 6 * HOUR))) == expected
    assert tested.count_us(micros(at), micros(at + 6 * HOUR)) == len(expected)


def test_the_offsets_are_those_of_zoneinfo() -> None:
    for zone in zone_names():
        offsets, reference = load_offsets(zone), zone_info(zone)
        for change in offsets.changes:
            if change > -5_000_000_000:
                assert offsets.at(change) == offset_at(reference, change), (zone, change)
                assert offsets.at(change - 1) == offset_at(reference, change - 1) or change == offsets.changes[0], (zone, change)


@given(zone=st.sampled_from(sorted(zone_names())), instant=st.integers(-2_000_000_000, 253_402_000_000))
@settings(max_examples=2000, deadline=None)
def test_the_offset_at_any_instant_is_that_of_zoneinfo(zone: str, instant: int) -> None:
    offsets = load_offsets(zone)
    if not offsets.changes or instant > offsets.changes[0]:
        assert offsets.at(instant) == offset_at(zone_info(zone), instant)


@pytest.mark.parametrize("era", [-1, 0, 1, 2, 3, 5, 100])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_the_windows_of_34_years_join(zone: str, era: int) -> None:
    """An era begins at a multiple of 2 ** 30 seconds, in the middle of nowhere: nothing is lost or doubled there."""
    boundary = era << ERA
    stretch = Stretch(zone, boundary - 3, boundary + 3, HOUR)
    assert len(stretch.firings(["* * * * * *"], "vixie")) == 6
    for dst in POLICIES:
        for probe in range(boundary - 3, boundary + 3):
            assert_agrees(stretch, ["* * * * * *"], zone, dst, [], micros(probe))


@pytest.mark.slow
def test_every_change_of_every_zone() -> None:
    battery = (
        ["30 2 * * *", "0 0,1,2,3 * * *"],
        ["*/15 * * * *"],
        ["0 0-59/10 0-4,22-23 * * *"],
        ["17 */2 * * *", "0 0 * * *", "59 23 * * *"],
    )
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for zone in sorted(zone_names()):
        offsets = load_offsets(zone)
        content = (tuple(offsets.changes), tuple(offsets.offsets))
        if content in seen:
            continue
        seen.add(content)
        segments = list(offsets.segments(-5_000_000_000, TO))
        for segment in segments[1:]:
            stretch = Stretch(zone, segment.start - 4 * HOUR, segment.start + 4 * HOUR, 900)
            for cron in battery:
                for dst in POLICIES:
                    assert_agrees(stretch, cron, zone, dst, [], micros(segment.start) - 1)
