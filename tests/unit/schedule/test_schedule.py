"""The other members of a schedule: intervals, one instant, bounds, exclusions; their refusals, and what is warned about."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import Any

import msgspec
import pytest

from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.schedule_text import MICROS
from ledger.core.tzif import tzdata_version, zone_names
from ledger.schedule import Invalid, Schedule

BERLIN = "Europe/Berlin"  # 2024-03-31 02:00 -> 03:00 at 01:00Z, 2024-10-27 03:00 -> 02:00 at 01:00Z
NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def firings(schedule: Schedule, after: datetime = NEW_YEAR, count: int = 3) -> list[str]:
    return [one.isoformat()[:19] for one in islice(schedule.between(after, after + timedelta(days=3000)), count)]


# Intervals


def test_an_interval_is_aligned_to_the_epoch_and_not_to_its_start() -> None:
    assert firings(Schedule(every="7m"), utc("1970-01-01T00:00"), 2) == ["1970-01-01T00:07:00", "1970-01-01T00:14:00"]
    assert firings(Schedule(every="1h", start="2024-01-01T10:20:00Z"), count=2) == ["2024-01-01T11:00:00", "2024-01-01T12:00:00"]


def test_an_offset_moves_the_whole_line() -> None:
    assert firings(Schedule(every="1h", offset="5m"), count=2) == ["2024-01-01T00:05:00", "2024-01-01T01:05:00"]
    assert firings(Schedule(every="PT1H", offset="PT5M"), count=1) == ["2024-01-01T00:05:00"]
    assert firings(Schedule(every=timedelta(hours=1), offset=timedelta(minutes=5)), count=1) == ["2024-01-01T00:05:00"]


def test_an_interval_may_have_milliseconds() -> None:
    found = list(Schedule(every="1500ms").between(NEW_YEAR, NEW_YEAR + timedelta(seconds=6)))
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(milliseconds=1500)}


def test_an_interval_goes_on_over_a_change_of_the_clock() -> None:
    assert firings(Schedule(every="1h", timezone=BERLIN), utc("2024-03-31T00:00"), 2) == ["2024-03-31T01:00:00", "2024-03-31T02:00:00"]


# One instant


@pytest.mark.parametrize(
    ("at", "instant"),
    [
        ("2030-01-01T09:00:00Z", "2030-01-01T09:00:00"),
        ("2030-01-01T09:00:00+02:00", "2030-01-01T07:00:00"),
        ("2030-01-01T09:00:00", "2030-01-01T08:00:00"),
        ("2030-01-01 09:00", "2030-01-01T08:00:00"),
        ("2030-07-01T09:00", "2030-07-01T07:00:00"),
        (datetime(2030, 1, 1, 9), "2030-01-01T08:00:00"),
        (datetime(2030, 1, 1, 9, tzinfo=UTC), "2030-01-01T09:00:00"),
        (datetime(2030, 1, 1, 9, tzinfo=timezone(timedelta(hours=5))), "2030-01-01T04:00:00"),
        ("2024-03-31T02:30:00", "2024-03-31T01:00:00"),  # skipped: the end of the gap
        ("2024-03-31T02:30:00.500", "2024-03-31T01:00:00"),
        ("2024-10-27T02:30:00", "2024-10-27T00:30:00"),  # comes twice: the first
    ],
)
def test_one_instant_fires_once(at: str | datetime, instant: str) -> None:
    once = Schedule(at=at, timezone=BERLIN)
    assert firings(once) == [instant]
    assert once.next(utc(instant) - timedelta(microseconds=1)) == utc(instant)
    assert once.next(utc(instant)) is None


def test_one_instant_may_be_far_away() -> None:
    assert Schedule(at="2500-01-01T00:00:00Z").next(NEW_YEAR) == datetime(2500, 1, 1, tzinfo=UTC)


# Bounds


def test_start_and_end_are_both_inclusive() -> None:
    bound = Schedule(cron="0 9 * * *", timezone=BERLIN, start="2024-02-01T09:00:00", end="2024-02-03T09:00:00")
    assert firings(bound, count=9) == ["2024-02-01T08:00:00", "2024-02-02T08:00:00", "2024-02-03T08:00:00"]
    assert bound.next(utc("2024-02-03T08:00")) is None
    assert bound.next(utc("1990-01-01T00:00")) == utc("2024-02-01T08:00")


def test_a_second_more_or_less_leaves_the_bounds_out() -> None:
    bound = Schedule(cron="0 9 * * *", start="2024-02-01T09:00:01Z", end="2024-02-03T08:59:59Z")
    assert firings(bound, count=9) == ["2024-02-02T09:00:00"]


def test_a_bound_without_a_time_is_the_whole_local_day() -> None:
    bound = Schedule(cron="0 0,12 * * *", timezone=BERLIN, start="2024-02-01", end=date(2024, 2, 1))
    assert firings(bound, count=9) == ["2024-01-31T23:00:00", "2024-02-01T11:00:00"]


@pytest.mark.parametrize(
    ("zone", "day", "last"),
    [
        ("America/St_Johns", "2006-10-28", "2006-10-29T03:20:00"),  # 00:01 -> 23:01 of that day: its last hour comes twice
        ("America/Sao_Paulo", "2018-02-17", "2018-02-18T02:50:00"),  # 00:00 -> 23:00
        ("America/Sao_Paulo", "2018-11-03", "2018-11-04T02:50:00"),  # 00:00 -> 01:00 of the next
        ("Pacific/Apia", "2011-12-30", "2011-12-30T09:50:00"),  # there was no such day
        (BERLIN, "2024-06-30", "2024-06-30T21:50:00"),
    ],
)
def test_a_local_day_as_an_end_is_the_whole_day_however_the_clock_changes_at_midnight(zone: str, day: str, last: str) -> None:
    kept = Schedule(every="10m", timezone=zone, end=day).between(utc(day) - timedelta(days=1), utc(day) + timedelta(days=3))
    assert [one.isoformat()[:19] for one in kept][-1] == last


def test_a_naive_bound_that_comes_twice_includes_both() -> None:
    twice = Schedule(cron="*/30 2 * * *", timezone=BERLIN, start="2024-10-27T02:30:00", end="2024-10-27T02:30:00")
    assert firings(twice, count=9) == ["2024-10-27T00:30:00", "2024-10-27T01:00:00", "2024-10-27T01:30:00"]


def test_bounds_hold_for_intervals_too() -> None:
    assert firings(Schedule(every="1h", start="2024-01-01T03:00:00Z", end="2024-01-01T04:00:00Z"), count=9) == [
        "2024-01-01T03:00:00",
        "2024-01-01T04:00:00",
    ]


def test_a_start_more_than_forty_years_away_is_found() -> None:
    assert Schedule(cron="0 0 29 2 *", start="2097-01-01T00:00:00Z").next(NEW_YEAR) == utc("2104-02-29T00:00")


@pytest.mark.parametrize(("end", "zone"), [("9999-12-30", "Etc/GMT+12"), ("9999-12-31", "Pacific/Kiritimati")])
@pytest.mark.parametrize("given", [{"every": "1h", "exclude": ["* 3 * * *"]}, {"cron": "@hourly"}])
def test_an_end_whose_day_goes_beyond_the_calendar_ends_with_it(end: str, zone: str, given: Mapping[str, Any]) -> None:
    """The last hours of 9999 have no wall clock everywhere: nothing fires there, and nothing is counted."""
    hourly = Schedule(**given, end=end, timezone=zone)
    last = utc("9999-12-30T23:00")
    assert hourly.next(last) is None
    assert hourly.next(last - timedelta(hours=1)) == last
    assert hourly.count_us(int((last - timedelta(hours=3) - EPOCH) / timedelta(microseconds=1)), 10**18) == 3


# Exclusions


def test_an_excluded_date_is_a_local_day() -> None:
    nightly = Schedule(cron="30 0 * * *", timezone=BERLIN, exclude=["2024-01-03", date(2024, 1, 4)])
    assert firings(nightly, count=2) == ["2024-01-01T23:30:00", "2024-01-04T23:30:00"]


def test_a_five_field_exclusion_covers_its_whole_minute_and_a_six_field_one_its_second() -> None:
    each = "*/20 * * * * *"
    assert firings(Schedule(cron=each, exclude=["1 * * * *"]), utc("2024-01-01T00:00:40"), 2) == [
        "2024-01-01T00:02:00",
        "2024-01-01T00:02:20",
    ]
    assert firings(Schedule(cron=each, exclude=["0 1 * * * *"]), utc("2024-01-01T00:00:40"), 2) == [
        "2024-01-01T00:01:20",
        "2024-01-01T00:01:40",
    ]


def test_an_exclusion_is_tested_against_the_wall_clock_of_the_firing() -> None:
    """02:30 is skipped and fires at 03:00: what is excluded at 02:xx does not touch it, what is excluded at 03:00 does."""
    spring = utc("2024-03-31T00:00")
    assert firings(Schedule(cron="30 2 * * *", timezone=BERLIN, exclude=["* 2 31 3 *"]), spring, 1) == ["2024-03-31T01:00:00"]
    assert firings(Schedule(cron="30 2 * * *", timezone=BERLIN, exclude=["0 3 * * *"]), spring, 1) == ["2024-04-01T00:30:00"]


def test_exclusions_hold_for_intervals_too() -> None:
    working = Schedule(every="30m", timezone=BERLIN, exclude=["* 0-8,18-23 * * *", "* * * * SAT,SUN"])
    assert firings(working, utc("2024-01-05T16:00"), 3) == ["2024-01-05T16:30:00", "2024-01-08T08:00:00", "2024-01-08T08:30:00"]


def test_leap_day_belongs_to_a_month_that_is_excluded_as_a_whole() -> None:
    but_february = Schedule(cron="0 12 * * *", exclude=["* * * 2 *"])
    assert firings(but_february, utc("2024-01-31T13:00"), 1) == ["2024-03-01T12:00:00"]
    assert but_february.next(utc("2024-02-29T00:00")) == utc("2024-03-01T12:00")


# Ranges


def test_next_is_strictly_after_and_between_excludes_its_start_and_includes_its_end() -> None:
    hourly = Schedule(cron="@hourly")
    noon = utc("2024-01-01T12:00")
    assert hourly.next(noon) == noon + timedelta(hours=1)
    assert hourly.next(noon - timedelta(microseconds=1)) == noon
    assert list(hourly.between(noon, noon + timedelta(hours=2))) == [noon + timedelta(hours=1), noon + timedelta(hours=2)]
    assert list(hourly.between(noon, noon)) == []
    assert list(hourly.between(noon, noon - timedelta(hours=2))) == []


def test_what_is_found_is_utc() -> None:
    found = Schedule(cron="@hourly", timezone=BERLIN).next(datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=3))))
    assert found == utc("2024-01-01T10:00")
    assert found.tzinfo is UTC


def test_counting_and_the_latest_need_no_visit_to_each_firing() -> None:
    """Three days of a job every second, and 400 years of it."""
    start = int(NEW_YEAR.timestamp()) * MICROS
    days = 86_400 * MICROS
    each = Schedule(cron="* * * * * *", timezone=BERLIN)
    assert each.count_us(start, start + 3 * days) == 259_200
    assert each.latest_us(start, start + 3 * days + 1) == start + 3 * days
    assert each.count_us(start, start + 146_097 * days) == 146_097 * 86_400
    assert Schedule(every="1s").count_us(start, start + 146_097 * days) == 146_097 * 86_400
    assert Schedule(every="1s", exclude=["* 0-11 * * *"]).count_us(start, start + 3 * days) == 3 * 43_200
    assert Schedule(at="2024-01-02T00:00:00Z").count_us(start, start + 3 * days) == 1
    assert each.count_us(start, start) == each.count_us(start, start - 1) == 0
    assert each.latest_us(start, start) is None
    assert Schedule(every="1s", start="2024-01-02", end="2024-01-02").count_us(start, start + 9 * days) == 86_400


# Specs


SPECS = [
    (Schedule(cron=" 0  2 * * mon"), {"cron": ["0 2 * * MON"]}),
    (Schedule(every="90s"), {"every_ms": 90_000}),
    (Schedule(every="PT90S", offset="1s"), {"every_ms": 90_000, "offset_ms": 1000}),
    (Schedule(at="2030-01-01T10:00:00+01:00"), {"at": "2030-01-01T09:00:00Z"}),
    (
        Schedule(
            cron=["@daily"], timezone=BERLIN, dst="last", start="2024-01-01", end="2031-01-01 10:00", exclude=["2026-12-25", "* 1 * * *"]
        ),
        {
            "cron": ["@DAILY"],
            "timezone": BERLIN,
            "dst": "last",
            "start": "2024-01-01",
            "end": "2031-01-01T10:00:00",
            "exclude": ["2026-12-25", "* 1 * * *"],
        },
    ),
]


@pytest.mark.parametrize(("schedule", "stored"), SPECS)
def test_a_spec_holds_what_was_written_in_a_normal_form_without_defaults(schedule: Schedule, stored: dict[str, object]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(schedule.spec)) == stored
    again = Schedule.from_spec(msgspec.json.decode(msgspec.json.encode(schedule.spec), type=ScheduleSpec))
    assert again.spec == schedule.spec
    assert firings(again) == firings(schedule)


def test_a_stored_spec_with_more_than_is_taken_today_is_still_read() -> None:
    """A version is immutable: what an earlier release took goes on."""
    many = Schedule.from_spec(ScheduleSpec(cron=("0 12 * * *",) * 100, exclude=("* * 24 12 *",) * 999 + ("2024-01-01",)))
    assert firings(many, count=1) == ["2024-01-02T12:00:00"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (ScheduleSpec(), "exactly one of"),
        (ScheduleSpec(cron=()), "exactly one of"),
        (ScheduleSpec(cron=("@daily",), every_ms=1000), "exactly one of"),
        (ScheduleSpec(cron=("99 * * * *",)), "out of range"),
        (ScheduleSpec(cron=("@daily",) * 101), "more than 100 expressions"),
        (ScheduleSpec(every_ms=0), "is not from 1000"),
        (ScheduleSpec(every_ms=-1000), "is not from 1000"),
        (ScheduleSpec(every_ms=10**18), "is not from 1000"),
        (ScheduleSpec(every_ms=1000, offset_ms=1000), "less than every_ms"),
        (ScheduleSpec(every_ms=1000, offset_ms=-1), "less than every_ms"),
        (ScheduleSpec(cron=("@daily",), offset_ms=1), "less than every_ms"),
        (ScheduleSpec(at="2030-01-01"), "has no time of day"),
        (ScheduleSpec(at="soon"), "is not of the form"),
        (ScheduleSpec(at="2030-01-01T09:00"), "is not in its normal form"),
        (ScheduleSpec(cron=("@daily",), start="2030-99-01"), "is no date"),
        (ScheduleSpec(cron=("@daily",), exclude=("2030-99-01",)), "is no date"),
        (ScheduleSpec(cron=("@daily",), exclude=("",)), "is no date"),
        (ScheduleSpec(every_ms=1000, timezone="Mars/X"), "is not a zone"),
        (ScheduleSpec(every_ms=1000, timezone="\0"), "is not a zone"),
    ],
)
def test_a_stored_spec_that_cannot_be_is_refused_too(spec: ScheduleSpec, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        Schedule.from_spec(spec)


# Refusals

WORKDAYS = "0 9 * * MON-FRI"
REFUSED: list[tuple[Mapping[str, Any], str, str]] = [
    ({}, "schedule 'none'", "exactly one of cron, every and at"),
    ({"cron": WORKDAYS, "every": "1h"}, "schedule 'cron and every'", "exactly one of"),
    ({"cron": WORKDAYS, "every": "1h", "at": "2030-01-01T09:00"}, "schedule 'cron and every and at'", "exactly one of"),
    ({"every": "999ms"}, "every '999ms'", "shorter than one second"),
    ({"every": "0s"}, "every '0s'", "shorter than one second"),
    ({"every": "-5m"}, "every '-5m'", "is negative"),
    ({"every": "5"}, "every '5'", "has no unit"),
    ({"every": "11y"}, "every '11y'", "is not a duration"),
    ({"every": "9999d"}, "every '9999d'", "longer than ten years"),
    ({"every": 900}, "every 900", "say its unit, and quote it in YAML (15:00 is a number there)"),
    ({"every": True}, "every True", "of type bool"),
    ({"every": timedelta(microseconds=1_000_001)}, "every datetime", "whole number of milliseconds"),
    ({"every": timedelta(seconds=-1)}, "every -1000", "is negative"),
    ({"every": "1h", "offset": "1h"}, "offset '1h'", "is not less than `every` (PT1H)"),
    ({"every": "1h", "offset": "-1m"}, "offset '-1m'", "is negative"),
    ({"cron": WORKDAYS, "offset": "1m"}, "offset '1m'", "belongs to `every` alone"),
    ({"at": "2030-01-01"}, "at '2030-01-01'", "has no time of day"),
    ({"at": date(2030, 1, 1)}, "at datetime.date(2030, 1, 1)", "has no time of day"),
    ({"at": "tomorrow"}, "at 'tomorrow'", "is not of the form"),
    ({"at": "2030-01-01T25:00"}, "at '2030-01-01T25:00'", "is no date and time"),
    ({"at": "2030-02-30T12:00"}, "at '2030-02-30T12:00'", "is no date and time"),
    ({"at": "2030-01-01T09:00 Europe/Berlin"}, "at '2030-01-01T09:00 Europe/Berlin'", "is not of the form"),
    ({"at": "\u0662030-01-01T09:00"}, "at '\\u0662030-01-01T09:00'", "is not of the form"),
    ({"at": 1_893_456_000}, "at 1893456000", "of type int: quote it"),
    ({"at": "0001-01-01T00:00"}, "at '0001-01-01T00:00'", "edge of the calendar"),
    ({"at": "9999-12-31T23:59"}, "at '9999-12-31T23:59'", "edge of the calendar"),
    ({"at": "9999-12-31T23:59:59-12:00"}, "at '9999-12-31T23:59:59-12:00'", "edge of the calendar"),
    ({"at": "0001-01-01T00:00:00+12:00"}, "at '0001-01-01T00:00:00+12:00'", "edge of the calendar"),
    ({"at": "0001-01-01T00:00:00+14:00"}, "at '0001-01-01T00:00:00+14:00'", "edge of the calendar"),
    ({"cron": WORKDAYS, "start": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))}, "start datetime", "edge of the calendar"),
    ({"cron": WORKDAYS, "end": "9999-12-31T23:59:59-14:00"}, "end '9999-12-31T23:59:59-14:00'", "edge of the calendar"),
    ({"cron": WORKDAYS, "start": "2030-13-01"}, "start '2030-13-01'", "is no date"),
    ({"cron": WORKDAYS, "start": "now"}, "start 'now'", "is not of the form"),
    ({"cron": WORKDAYS, "end": "2030-1-1"}, "end '2030-1-1'", "is not of the form"),
    ({"cron": WORKDAYS, "start": "2030-01-02", "end": "2030-01-01"}, "start '2030-01-02'", "is after the end '2030-01-01'"),
    ({"cron": WORKDAYS, "timezone": "Mars/X"}, "timezone 'Mars/X'", f"is not a zone of tzdata {tzdata_version()}"),
    ({"cron": WORKDAYS, "timezone": "europe/berlin"}, "timezone 'europe/berlin'", "for example 'Europe/Berlin'"),
    ({"cron": WORKDAYS, "timezone": "Europe/Berln"}, "timezone 'Europe/Berln'", "for example 'Europe/Berlin'"),
    ({"cron": WORKDAYS, "timezone": "../../etc/passwd"}, "timezone '../../etc/passwd'", "is not a zone"),
    ({"cron": WORKDAYS, "timezone": ""}, "timezone ''", "is not a zone"),
    ({"cron": WORKDAYS, "timezone": "Europe"}, "timezone 'Europe'", "is not a zone"),
    ({"cron": WORKDAYS, "timezone": "+02:00"}, "timezone '+02:00'", "is not a zone"),
    ({"cron": WORKDAYS, "timezone": "x" * 5000}, "timezone 'xxx", "(5002 characters)"),
    ({"cron": WORKDAYS, "timezone": 2}, "timezone 2", "of type int, which is not a zone"),
    ({"cron": WORKDAYS, "timezone": ["UTC"]}, "timezone ['UTC']", "of type list, which is not a zone"),
    ({"cron": WORKDAYS, "dst": "quartz"}, "dst 'quartz'", "is not one of vixie, cronos, literal, last"),
    ({"cron": WORKDAYS, "dst": "vixi"}, "dst 'vixi'", "for example 'vixie'"),
    ({"cron": WORKDAYS, "exclude": "2026-12-25"}, "exclude '2026-12-25'", "is not a list"),
    ({"cron": WORKDAYS, "exclude": ["2026-02-30"]}, "exclude[0] '2026-02-30'", "is no date"),
    ({"cron": WORKDAYS, "exclude": ["2026-12-25", "2026-12-25T00:00"]}, "exclude[1] '2026-12-25T00:00'", "is no date of the form"),
    ({"cron": WORKDAYS, "exclude": [datetime(2026, 12, 25)]}, "exclude[0] datetime", "neither a local date nor a cron expression"),
    ({"cron": WORKDAYS, "exclude": [20261225]}, "exclude[0] 20261225", "neither a local date nor a cron expression"),
    ({"cron": WORKDAYS, "exclude": ["christmas"]}, "exclude[0] 'christmas'", "has 1 field"),
    ({"cron": WORKDAYS, "exclude": ["* 24 * * *"]}, "exclude[0]: hours '24'", "out of range 0-23"),
    ({"cron": WORKDAYS, "exclude": ["2026-12-25"] * 1001}, "exclude '1001 entries'", "more than 1000 entries"),
    ({"cron": WORKDAYS, "exclude": ["* * 24 12 *"] * 101}, "exclude '101 expressions'", "more than 100 expressions; dates do not count"),
    ({"cron": [WORKDAYS] * 21}, "cron '21 expressions'", "has to be 1 to 20 expressions"),
    ({"cron": WORKDAYS, "exclude": ["* * * * *"]}, "cron '0 9 * * MON-FRI'", "none that `exclude` leaves"),
    ({"cron": WORKDAYS, "exclude": ["0 9 * * *"]}, "cron '0 9 * * MON-FRI'", "none that `exclude` leaves"),
    ({"cron": "* * * * * *", "exclude": ["*/2 * * * * *", "1/2 * * * * *"]}, "cron '* * * * * *'", "none that `exclude` leaves"),
    ({"every": "1h", "exclude": ["0 * * * *"]}, "every 'PT1H'", "none that `exclude` leaves"),
    ({"at": "2030-01-01T09:00:00Z", "exclude": ["2030-01-01"]}, "at '2030-01-01T09:00:00Z'", "none that `exclude` leaves"),
    ({"at": "2030-01-01T09:00:00Z", "end": "2029-01-01"}, "at '2030-01-01T09:00:00Z'", "within end '2029-01-01'"),
    (
        {"cron": "0 0 29 2 *", "start": "2025-01-01", "end": "2027-12-31"},
        "cron '0 0 29 2 *'",
        "within start '2025-01-01' and end '2027-12-31'",
    ),
    ({"every": "1d", "start": "2025-01-01T01:00:00Z", "end": "2025-01-01T02:00:00Z"}, "every 'P1D'", "within start"),
]


@pytest.mark.parametrize(("given", "names", "why"), REFUSED)
def test_what_cannot_be_is_refused_with_field_value_reason_and_example(given: Mapping[str, Any], names: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        Schedule(**given)
    said = str(refused.value)
    assert names in said
    assert why in said
    assert "; for example " in said
    assert said.isascii() and "\n" not in said and len(said) < 600


def test_a_naive_instant_is_refused_where_it_is_asked_for() -> None:
    hourly = Schedule(cron="@hourly")
    with pytest.raises(Invalid, match=r"after '2024-01-01T00:00:00' has no time zone; for example datetime.now\(UTC\)"):
        hourly.next(datetime(2024, 1, 1))
    with pytest.raises(Invalid, match="until '2024-01-01T00:00:00' has no time zone"):
        list(hourly.between(NEW_YEAR, datetime(2024, 1, 1)))


def test_an_end_in_the_past_is_no_refusal() -> None:
    """Nothing here knows what time it is: whether a schedule is over is for the one who asks."""
    assert Schedule(cron=WORKDAYS, end="2001-01-01").next(NEW_YEAR) is None
    assert Schedule(at="2001-01-01T09:00:00Z").next(NEW_YEAR) is None


# Warnings


@pytest.mark.parametrize(
    ("given", "warns"),
    [
        ({"cron": "0 0 9 * * 1"}, "a weekday as a number"),
        ({"cron": "0 0 9 * * MON,5#2"}, "a weekday as a number"),
        ({"cron": "0 0 9 * * L5"}, "a weekday as a number"),
        ({"cron": "0 0 9 * * 1/2"}, "a weekday as a number"),
        ({"cron": "0 0 9 * * 1-5/2"}, "a weekday as a number"),
        ({"cron": "0 0 9 * * MON-5"}, "a weekday as a number"),
        ({"cron": "0 9 */1 * MON"}, "day of month '*/1' matches every day"),
        ({"cron": "0 9 1 * */1"}, "day of week '*/1' matches every day"),
        ({"cron": "0 9 1-31 * MON"}, "day of month '1-31' matches every day"),
        ({"cron": "0 9 * * *"}, "a fixed hour without a time zone"),
        ({"cron": "@daily"}, "a fixed hour without a time zone"),
        ({"every": "24h"}, "follows UTC, not the local clock"),
        ({"every": "7d"}, "follows UTC, not the local clock"),
        ({"cron": "*/60 * * * *"}, "only its first value matches"),
        ({"every": "1h", "dst": "last"}, "has no effect"),
    ],
)
def test_what_is_probably_not_meant_is_warned_about(given: Mapping[str, Any], warns: str) -> None:
    assert [one for one in Schedule(**given).warnings if warns in one]


@pytest.mark.parametrize(
    "given",
    [
        {"cron": "0 9 * * MON-FRI", "timezone": "UTC"},
        {"cron": "0 9 * * 1-5", "timezone": BERLIN},
        {"cron": "0 0 9 * * MON-FRI", "timezone": BERLIN},
        {"cron": "0 0 9 * * FRI#2,LMON,TUE/2", "timezone": BERLIN},
        {"cron": "0 0 9 * * */2", "timezone": BERLIN},
        {"cron": "*/5 * * * *"},
        {"cron": "@hourly"},
        {"every": "1h"},
        {"at": "2030-01-01T09:00"},
    ],
)
def test_what_is_plainly_meant_is_not_warned_about(given: Mapping[str, Any]) -> None:
    assert Schedule(**given).warnings == ()


def test_every_zone_of_the_package_can_be_used() -> None:
    for zone in zone_names():
        assert Schedule.from_spec(ScheduleSpec(cron=("0 0 * * *",), timezone=zone)).next(NEW_YEAR) is not None


@pytest.mark.parametrize(("change", "left"), [("2024-03-31T01:00", 240), ("2024-10-27T01:00", 120)])
def test_an_interval_with_exclusions_is_counted_on_the_wall_clock_on_both_sides_of_a_change(change: str, left: int) -> None:
    """Local 02:xx is left out: no hour of the night in spring, two in autumn."""
    middle = int(utc(change).timestamp()) * MICROS
    reach = 2 * 3600 * MICROS
    minutely = Schedule(every="1m", timezone=BERLIN, exclude=["* 2 * * *"])
    counted = minutely.count_us(middle - reach, middle + reach)
    assert counted == len(list(minutely.between_us(middle - reach, middle + reach)))
    assert counted == left
