"""Which ticks there will be, on both clocks, and which combinations make no sense."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.client.previewing import instant_in, preview, senseless
from ledger.core.invalid import Invalid
from ledger.core.policies import delay_us
from ledger.core.schedule_spec import ScheduleSpec

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_ticks_on_both_clocks_over_a_gap() -> None:
    found = preview(ScheduleSpec(cron=("30 2 * * *",), timezone=BERLIN), instant_in("from", "2026-03-28T03:00", BERLIN), 2)
    assert [one.tick_at for one in found.ticks] == [utc("2026-03-29T01:00"), utc("2026-03-30T00:30")]
    assert [one.local.isoformat() for one in found.ticks] == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_a_range_ends_with_its_end() -> None:
    spec = ScheduleSpec(every_ms=3_600_000)
    found = preview(spec, 0, 100, until=3 * 3_600_000_000)
    assert [one.tick_at.hour for one in found.ticks] == [1, 2, 3]


def test_the_jitter_is_that_of_the_job() -> None:
    spec = ScheduleSpec(every_ms=3_600_000, jitter_ms=600_000)
    [tick] = preview(spec, 0, 1, job_id="hourly").ticks
    assert tick.due_at - tick.tick_at == timedelta(microseconds=delay_us("hourly", 600_000))
    assert preview(spec, 0, 1).ticks[0].due_at == tick.tick_at


def test_a_schedule_that_is_over_has_no_ticks() -> None:
    assert preview(ScheduleSpec(at="2020-01-01T00:00:00Z"), instant_in("from", "2026-01-01", "UTC"), 5).ticks == ()


@pytest.mark.parametrize("count", [0, 10_001])
def test_it_is_bounded(count: int) -> None:
    with pytest.raises(Invalid, match="count"):
        preview(ScheduleSpec(every_ms=1000), 0, count)


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-10-25T02:30", BERLIN, "2026-10-25T00:30"),  # comes twice: the first
        ("2026-03-29T02:30", BERLIN, "2026-03-29T01:00"),  # is skipped: the end of the gap
        ("2026-03-29T02:30Z", BERLIN, "2026-03-29T02:30"),
        ("2026-03-29", BERLIN, "2026-03-28T23:00"),
    ],
)
def test_instants_without_an_offset_are_local(text: str, zone: str, instant: str) -> None:
    assert instant_in("from", text, zone) == utc(instant).timestamp() * 1e6


def test_an_instant_that_is_none() -> None:
    with pytest.raises(Invalid, match="from 'soon' is no instant; for example"):
        instant_in("from", "soon", "UTC")


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0001-01-01T00:00:00+14:00", "UTC"),
        ("9999-12-31T23:59:59-14:00", "UTC"),
        ("0001-01-01T00:00", "Pacific/Kiritimati"),
        ("9999-12-31T23:59", "America/New_York"),
    ],
)
def test_an_instant_that_is_no_date_in_utc_is_refused(text: str, zone: str) -> None:
    with pytest.raises(Invalid, match=r"from .* is at the edge of the calendar; for example"):
        instant_in("from", text, zone)


def test_until_the_end_of_the_calendar_may_be_asked_for() -> None:
    until = instant_in("to", "9999-12-31T23:59:59Z", "UTC")
    assert preview(ScheduleSpec(every_ms=3_600_000), instant_in("from", "2026-01-01", "UTC"), 2, until=until).ticks[-1].tick_at.hour == 2


@pytest.mark.parametrize(
    ("spec", "scope", "words"),
    [
        (ScheduleSpec(every_ms=1000, coalesce="all"), None, "runs one of them"),
        (ScheduleSpec(every_ms=1000, coalesce="all", overlap="buffer_one"), None, "runs two of them"),
        (ScheduleSpec(at="2030-01-01T00:00:00Z", limit=3), None, "limit has no effect"),
        (ScheduleSpec(every_ms=1000, overlap="allow_all"), "tenant", "runs one at a time"),
    ],
)
def test_combinations_without_sense(spec: ScheduleSpec, scope: str | None, words: str) -> None:
    [said] = senseless(spec, scope)
    assert words in said


def test_sensible_combinations() -> None:
    assert senseless(ScheduleSpec(every_ms=1000, coalesce="all", overlap="buffer_all"), "tenant") == []
    assert senseless(ScheduleSpec(every_ms=1000, overlap="allow_all"), "none") == []
