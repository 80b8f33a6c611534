"""`why JOB`: every tick that the schedules in force expected in a range, and what became of it. Reads tables and log, changes nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.client.moments import datetime_of
from ledger.client.names import check_name
from ledger.client.previewing import instant_in
from ledger.client.stored import spec_of_row
from ledger.client.why_late import lateness
from ledger.client.why_reading import Found, read_past
from ledger.client.why_words import Known, Spent, words
from ledger.client.why_workers import takers, unserved
from ledger.config import Settings
from ledger.core.engines import Engines
from ledger.core.policies import delay_us
from ledger.core.refusal import Refused
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import written_of
from ledger.core.tzif import tzdata_version
from ledger.core.why import CLASSES, Expected, Explained, Outcome, Run, explain
from projections.paging import micros_of
from projections.reads import Reads
from projections.rows import Execution, JobDefinition
from projections.schedule_past import silence
from projections.schedule_rows import Tick

DAY: Final = 86_400_000_000
MOST_LOOKED_INTO: Final = 20  # late ones whose lateness is taken apart, and gaps of control that are looked for


@dataclass(frozen=True, slots=True)
class WhyTick:
    """`count` ticks in a row from `tick_at` to `last_tick_at`, with one class. `why` says it in words."""

    tick_at: datetime
    last_tick_at: datetime
    count: int
    job_version: int | None
    class_: str
    reason: str | None
    why: str
    late_ms: int | None = None
    due_at: datetime | None = None
    decided_at: datetime | None = None
    execution_id: str | None = None
    execution_state: str | None = None
    blocked_by: str | None = None
    spent: tuple[Spent, ...] = ()


@dataclass(frozen=True, slots=True)
class WhyJob:
    """The range is (after, until]. `counts`: of ticks, by class; each expected tick is counted once."""

    job_id: str
    after: datetime
    until: datetime
    expected: int
    counts: dict[str, int]
    ticks: tuple[WhyTick, ...]
    warnings: tuple[str, ...] = ()


async def why_job(
    settings: Settings,
    reads: Reads,
    job_id: str,
    now: int,
    *,
    at: str | datetime | None = None,
    from_: str | datetime | None = None,
    to: str | datetime | None = None,
) -> WhyJob:
    """One tick (`at`), or all from `from_` to `to`, both inclusive; else those of the last day. Raises `Refused`: no such job or tick, a
    range too long; and what reading the log raises."""
    job = await reads.definition(check_name(job_id, "job_id"))
    if job is None:
        raise Refused("unknown_job", f"there is no job {job_id}, or the tables do not have it yet: `jobledger jobs list` shows them")
    if job.kind == "on_demand":
        raise Refused("no_schedule", f"{job_id} has no schedule, so no tick is expected: `jobledger executions list --job {job_id}`")
    after, until = await _range(reads, job, now, at, from_, to)
    found = await read_past(settings, reads, job, after, until)
    explained, known = await _explain(settings, reads, job, found, after, until, now)
    if at is not None and not explained:
        raise _no_tick(job_id, found, until)
    ticks = [await _told(settings, reads, one, found, known, now, nth) for nth, one in _numbered(explained)]
    counts: Counter[str] = Counter()
    for one in explained:
        counts[one.is_] += one.count
    by_class = {str(name): counts[name] for name in CLASSES if counts[name]}
    return WhyJob(job_id, datetime_of(after), datetime_of(until), counts.total(), by_class, tuple(ticks), _warnings(known))


def _numbered(explained: Sequence[Explained]) -> list[tuple[int, Explained]]:
    """With how many late ones stand before."""
    late = 0
    numbered: list[tuple[int, Explained]] = []
    for one in explained:
        numbered.append((late, one))
        late += one.is_ == "late"
    return numbered


async def _range(
    reads: Reads, job: JobDefinition, now: int, at: str | datetime | None, from_: str | datetime | None, to: str | datetime | None
) -> tuple[int, int]:
    version = None if job.current_version is None else await reads.version(job.job_id, job.current_version)
    zone = "UTC" if version is None or version.schedule is None else spec_of_row(version.schedule).timezone
    if at is not None:
        instant = instant_in("at", at, zone)
        return instant - 1, instant
    until = now if to is None else instant_in("to", to, zone)
    after = until - DAY if from_ is None else instant_in("from", from_, zone) - 1
    if after >= until:
        raise Refused("invalid_range", "from is not before to: no tick can be between them")
    return after, until


async def _explain(
    settings: Settings, reads: Reads, job: JobDefinition, found: Found, after: int, until: int, now: int
) -> tuple[list[Explained], Known]:
    engines = Engines()
    expected: list[Expected] = []
    for one in found.stretches:
        spec = found.specs.get(one.job_version)
        if spec is not None and (engine := engines.of(written_of(spec))) is not None:
            delay = delay_us(job.job_id, spec.jitter_ms)
            expected.append(Expected(one.job_version, engine, one.since, one.until, delay, one.is_by_others(spec.timezone)))
    ids = {name for one in found.rows for name in (one.execution_id, one.blocked_by) if name is not None}
    executions = await reads.executions_by_id(sorted(ids))
    runs = {name: _run(one) for name, one in executions.items()}
    runs |= (gone := _not_kept(found.rows, runs, await reads.not_kept_before()))
    explained = explain(expected, list(map(_outcome, found.rows)), runs, after, until, now, found.newest)
    made_up = {one.address.seq: micros_of(one.tick_at) for one in found.rows if one.outcome == "fired"}
    windows = {number: spec.catchup_window_ms for number, spec in found.specs.items()}
    held = [*found.registry.held, *found.home.held]
    known = Known(
        executions,
        held,
        found.home.ordered,
        made_up,
        {},
        _zones(found),
        windows,
        gone.keys(),
        now,
        await _unserved(settings, executions.values()),
    )
    missed = [one for one in found.rows if one.outcome == "missed"][:MOST_LOOKED_INTO]
    for row in missed:
        quiet = await silence(settings, row.address.partition, row.address.offset, micros_of(row.tick_at))
        if quiet is not None:
            known.silences[micros_of(row.tick_at)] = quiet
    return explained, known


async def _unserved(settings: Settings, executions: Iterable[Execution]) -> dict[str, str]:
    """Those that wait for nothing but a worker, and that no worker can run."""
    waiting = [one for one in executions if one.state == "waiting" and one.blocked_by is None]
    workers = await takers(settings) if waiting else None
    found = {one.execution_id: unserved(one, workers, settings.limits.version_grace) for one in waiting}
    return {name: one.text for name, one in found.items() if one is not None}


def _zones(found: Found) -> str | None:
    mine = tzdata_version()
    others = {one.tzdata for one in found.stretches} | {one.tzdata for one in found.home.rezoned}
    other = ", ".join(sorted(one for one in others if one is not None and one != mine))
    return f"control reckoned with tzdata {other}, this program has {mine}: instants may differ" if other else None


def _warnings(known: Known) -> tuple[str, ...]:
    return () if known.zones is None else (known.zones,)


def _outcome(row: Tick) -> Outcome:
    return Outcome(
        row.job_version,
        micros_of(row.tick_at),
        micros_of(row.last_tick_at),
        row.tick_count,
        "fired" if row.outcome == "fired" else "skipped" if row.outcome == "skipped" else "missed",
        row.reason,
        micros_of(row.decided_at),
        None if row.due_at is None else micros_of(row.due_at),
        row.execution_id,
        row.blocked_by,
    )


def _not_kept(rows: Sequence[Tick], runs: Mapping[str, Run], before: datetime | None) -> dict[str, Run]:
    """What ended so long ago that its row may be gone (`keep` in the settings): how late it was is known up to its decision."""
    gone = [row for row in rows if row.outcome == "fired" and row.execution_id is not None and row.execution_id not in runs]
    return {
        row.execution_id: Run("not kept", finished_at=micros_of(row.decided_at))
        for row in gone
        if row.execution_id is not None and before is not None and row.decided_at < before
    }


def _run(one: Execution) -> Run:
    started = None if one.first_started_at is None else micros_of(one.first_started_at)
    return Run(one.state, one.reason, started, None if one.finished_at is None else micros_of(one.finished_at))


async def _told(settings: Settings, reads: Reads, one: Explained, found: Found, known: Known, now: int, late_before: int) -> WhyTick:
    outcome = one.outcome
    row = found.row(outcome.first) if outcome is not None else None
    run = known.executions.get(outcome.execution_id or "") if outcome is not None else None
    spent: tuple[Spent, ...] = ()
    if one.is_ == "late" and run is not None and late_before < MOST_LOOKED_INTO and outcome is not None:
        spent = await lateness(settings, reads, run, outcome.due_at or outcome.first, known.held, now)
    return WhyTick(
        datetime_of(one.first),
        datetime_of(one.last),
        one.count,
        one.job_version,
        one.is_,
        one.reason,
        words(one, row, known, spent),
        None if one.late_us is None else one.late_us // 1000,
        None if row is None else row.due_at,
        None if row is None else row.decided_at,
        None if outcome is None else outcome.execution_id,
        None if run is None else run.state,
        None if outcome is None else outcome.blocked_by,
        spent,
    )


def _no_tick(job_id: str, found: Found, at: int) -> Refused:
    """With the ticks around it, as far as a schedule was in force."""
    near: list[str] = []
    for one in found.stretches:
        spec = found.specs.get(one.job_version)
        if spec is None or one.since >= at or (one.until is not None and at > one.until):
            continue
        engine = Schedule.from_spec(spec)
        near += [f"{name} is {datetime_of(tick).isoformat()}" for name, tick in _around(engine, at) if tick is not None]
    why = "; ".join(near) or "no schedule of it was in force then"
    return Refused("unknown_tick", f"{datetime_of(at).isoformat()} is no tick of {job_id}: {why}")


def _around(engine: Schedule, at: int) -> tuple[tuple[str, int | None], ...]:
    return (("the one before", engine.latest_us(at - 366 * DAY, at)), ("the next", engine.next_us(at)))
