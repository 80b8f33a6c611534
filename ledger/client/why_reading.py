"""What `why JOB` reads: the outcomes of a range, and from the log which schedules were in force and who stood in their way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.client.moments import datetime_of
from ledger.client.stored import spec_of_row
from ledger.client.why_words import held_during
from ledger.config import Settings
from ledger.core.pause import names_of
from ledger.core.refusal import Refused
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.stretches import Decided, Stretch, by_zone_data, stretches
from projections.paging import micros_of
from projections.reads import Reads
from projections.rows import JobDefinition, PositionRow
from projections.schedule_past import HomePast, RegistryPast, read_home, read_registry
from projections.schedule_rows import JobStatus, Tick

MOST_ROWS: Final = 10_000


@dataclass(slots=True)
class Found:
    """What was read."""

    home: HomePast
    registry: RegistryPast
    rows: list[Tick]
    stretches: list[Stretch]
    newest: int
    specs: dict[int, ScheduleSpec] = field(default_factory=dict)
    by_tick: dict[int, Tick] = field(default_factory=dict)

    def row(self, first: int) -> Tick | None:
        if not self.by_tick:
            self.by_tick = {micros_of(one.tick_at): one for one in self.rows}
        return self.by_tick.get(first)


async def read_past(settings: Settings, reads: Reads, job: JobDefinition, after: int, until: int) -> Found:
    positions = {(one.log, one.log_partition): one for one in await reads.positions()}
    end = _end(positions.get(("events", job.home_partition)))
    names = names_of(job.job_id, job.queue, job.tenant, job.exclusive_key)
    of_registry = await read_registry(settings, job.job_id, names)
    rows = await reads.ticks_from(job.job_id, datetime_of(after + 1), datetime_of(until), MOST_ROWS + 1, end)
    if len(rows) > MOST_ROWS:
        raise Refused("too_many", f"more than {MOST_ROWS} outcomes in that time: take a shorter range with --from and --to")
    before = await reads.tick_before(job.job_id, end, datetime_of(after + 1))
    newest = await reads.tick_before(job.job_id, end)
    first = await _first(reads, job.job_id, before)
    start = 0 if first is None or before is None else before.address.offset
    past = await read_home(settings, job.job_id, job.home_partition, start, end)
    if start and is_wanting(past, of_registry, rows, await reads.status(job.job_id)):
        past = await read_home(settings, job.job_id, job.home_partition, 0, end)
        first = None
    if first is not None and before is not None:
        place = (before.address.seq, before.address.index)
        past.takeovers = [one for one in past.takeovers if (one.seq, one.index) > place]
    decided = list(map(_decided, rows if before is None else [before, *rows]))
    in_force = stretches(first, past.takeovers, of_registry.moves, decided)
    found = Found(past, of_registry, rows, in_force, 0 if newest is None else micros_of(newest.last_tick_at))
    for number in {one.job_version for one in in_force}:
        if (version := await reads.version(job.job_id, number)) is not None and version.schedule is not None:
            found.specs[number] = spec_of_row(version.schedule)
    limited = [await _limited(reads, job.job_id, one, found.specs.get(one.job_version), end) for one in in_force]
    found.stretches = [part for one in limited for part in by_zone_data(one, past.rezoned, decided)]
    return found


def _end(position: PositionRow | None) -> int:
    return 0 if position is None else position.log_offset + 1


async def _first(reads: Reads, job_id: str, before: Tick | None) -> Stretch | None:
    """What was in force at the row before the range; None where the log has to be read from its first commit: how many ticks of a version
    fired has to be known where it has a limit."""
    version = None if before is None else await reads.version(job_id, before.job_version)
    if before is None or version is None or version.schedule is None or spec_of_row(version.schedule).limit is not None:
        return None
    return Stretch(before.job_version, micros_of(before.tick_at) - 1)


def is_wanting(home: HomePast, registry: RegistryPast, rows: Sequence[Tick], status: JobStatus | None) -> bool:
    """Somebody had it left out, or the job paused itself, before the place from which the log was read."""
    if status is not None and status.auto_paused_note is not None and all(held.until is not None for held in home.held):
        return True
    return any(
        (one.reason == "by_hand" and micros_of(one.tick_at) not in home.ordered)
        or (one.reason == "paused" and not held_during((*home.held, *registry.held), micros_of(one.tick_at), micros_of(one.tick_at)))
        for one in rows
    )


async def _limited(reads: Reads, job_id: str, one: Stretch, spec: ScheduleSpec | None, end: int) -> Stretch:
    """No tick is expected after the last that may fire."""
    if spec is None or spec.most is None:
        return one
    to = None if one.until is None else datetime_of(one.until)
    count, last = await reads.fired(job_id, one.job_version, datetime_of(one.since), to, end)
    if not spec.is_spent(one.fired + count):
        return one
    return Stretch(one.job_version, one.since, one.since if last is None else micros_of(last), one.tzdata, one.fired)


def _decided(row: Tick) -> Decided:
    return Decided(row.job_version, micros_of(row.tick_at), micros_of(row.last_tick_at), row.address.seq, row.address.index)
