"""Which ticks a schedule has, and what is probably not meant about it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Final

from ledger.client.moments import EPOCH, LONGEST_TEXT, datetime_of, micros_of, within_calendar
from ledger.core.invalid import Invalid
from ledger.core.policies import delay_us
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.schedule_warnings import warnings_of
from ledger.core.zones import zone_of

MOST_SHOWN: Final = 10_000
BACK: Final = ("skip", "buffer_one")  # overlap policies under which ticks that are made up together stand in each other's way


@dataclass(frozen=True, slots=True)
class PreviewedTick:
    """`tick_at`: the nominal instant, in UTC; `local`: the same on the schedule's wall clock; `due_at`: with the job's jitter."""

    tick_at: datetime
    local: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """`warnings`: of what may be written but is probably not meant, or makes no sense together."""

    ticks: tuple[PreviewedTick, ...]
    warnings: tuple[str, ...] = ()
    job_id: str | None = None
    job_version: int | None = None


def preview(
    spec: ScheduleSpec, after: int, count: int, *, until: int | None = None, job_id: str | None = None, job_version: int | None = None
) -> Preview:
    """At most `count` ticks in (after, until]. `job_id` decides the jitter: without one the nominal instants are shown."""
    if not 1 <= count <= MOST_SHOWN:
        raise Invalid("invalid", "count", count, f"is not from 1 to {MOST_SHOWN}", "10")
    schedule = Schedule.from_spec(spec)
    delay = timedelta(microseconds=0 if job_id is None else delay_us(job_id, spec.jitter_ms))
    ticks = tuple(_tick(spec, found, delay) for found in islice(_firings(schedule, after, until), count))
    return Preview(ticks, (*warnings_of(spec, zone_given=True), *senseless(spec)), job_id, job_version)


def _firings(schedule: Schedule, after: int, until: int | None) -> Iterator[int]:
    if until is not None:
        yield from schedule.between_us(after, until)
        return
    while (found := schedule.next_us(after)) is not None:
        yield found
        after = found


def _tick(spec: ScheduleSpec, found: int, delay: timedelta) -> PreviewedTick:
    at = datetime_of(found)
    return PreviewedTick(at, local_time(at, spec.timezone), at + delay)


def instant_in(field: str, moment: datetime | str, zone: str) -> int:
    """Microseconds UTC of an instant as a person says it: without an offset it is read on the wall clock of `zone`; a local time that
    comes twice is the first one, one that the clock skips the end of the gap. Raises `Invalid`."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment[:LONGEST_TEXT])
        except ValueError:
            raise Invalid("invalid_instant", field, moment, "is no instant", "'2026-10-25T09:00:00Z'") from None
    if moment.tzinfo is not None:
        return micros_of(field, moment)
    second, fraction = divmod((moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1), 1_000_000)
    return within_calendar(field, moment.isoformat(), zone_of(zone).instant_of(second, "first") * 1_000_000 + fraction)


def local_time(at: datetime, zone: str) -> datetime:
    """On the wall clock of a zone of the `tzdata` package, as the schedules reckon it."""
    offset = zone_of(zone).offsets.at((at - EPOCH) // timedelta(seconds=1))
    return at.astimezone(timezone(timedelta(seconds=offset)))


def senseless(spec: ScheduleSpec, exclusive_scope: str | None = None) -> list[str]:
    """Combinations that do not do what they say."""
    said: list[str] = []
    if spec.coalesce == "all" and spec.overlap in BACK:
        runs = "one of them" if spec.overlap == "skip" else "two of them"
        said.append(
            f"catchup.coalesce 'all' with overlap {spec.overlap!r} runs {runs}: late ticks are made up at the same moment and each finds "
            "the first one running; say overlap: buffer_all, or coalesce: latest"
        )
    if spec.at is not None:
        for field, is_said in (("limit", spec.limit is not None), ("catchup.coalesce", spec.coalesce != "latest")):
            if is_said:
                said.append(f"{field} has no effect on a schedule that fires once (`at`)")
    if spec.overlap == "allow_all" and exclusive_scope in ("job", "tenant", "key"):
        said.append(f"overlap 'allow_all' requests every tick, but exclusivity by {exclusive_scope} runs one at a time: the rest waits")
    if spec.overlap == "terminate_other" and exclusive_scope in ("job", "tenant", "key"):
        said.append(f"overlap 'terminate_other' under exclusivity by {exclusive_scope} starts only when the former one's code has ended")
    return said
