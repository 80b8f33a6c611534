"""Acts of a home partition: run now, skip one tick, backfill. Each is decided on top of a view and leaves exactly one outcome.

Source: scheduling.md, section 7.
"""

from itertools import islice
from typing import Final, assert_never

from msgspec import structs

from ledger.core import backfill, outcome, request, tick, wire
from ledger.core.definition import Job, Version
from ledger.core.engines import version_of
from ledger.core.exclusivity import Admitting, admit
from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId, Micros, execution_of_backfill, execution_of_command, instant
from ledger.core.overlap import place
from ledger.core.partition_view import PartitionView, tag_of
from ledger.core.refusal import Refused
from ledger.core.said import check_said
from ledger.core.schedule import Schedule
from ledger.core.ticking import request_of
from ledger.core.wire import Event

MOST_TO_SKIP: Final = 100  # ticks of a job that are left out by hand and still to come
MOST_BACKFILLED: Final = 1_000_000  # ticks of one backfill
PORTION: Final = 90  # executions that a step of a backfill asks for
PORTION_BYTES: Final = wire.LARGEST_COMMIT // 2  # ... in so many bytes: each of them repeats who asked for the backfill, and why
LOOKED_AT: Final = 2000  # ticks that a step looks at
MOST_LIVE: Final = 500  # executions of the job that are not terminal, beyond which its backfill waits


def run_now(view: PartitionView, command: request.RunNow) -> list[Event]:
    job, version = view.wanted(command)
    if job.home != view.partition.number:
        return view.forward(command, command.command_id, job.home)
    execution_id = execution_of_command(command.command_id, None, "run_now", job.home)
    if view.state_of(execution_id) is not None:
        view.answer_request(command, execution_id, repeated=True)
        return []
    if command.overlap is not None and job.kind == "on_demand":
        raise Refused(
            "invalid", f"overlap {command.overlap}: {job.job_id} has no schedule, so its runs are told apart by exclusivity alone"
        )
    check_said(command.actor, command.reason)
    overlap = command.overlap or "allow_all"
    former = {} if overlap == "allow_all" else dict(view.live(job.job_id))
    placed = place(overlap, former, execution_id, view.at)
    if placed.refused is not None:
        raise Refused(
            placed.refused, f"{placed.blocked_by} of {job.job_id} has not ended; `--overlap buffer_all` waits for it, allow_all does not"
        )
    requested = structs.replace(
        request_of(job, version, execution_id, view.at),
        trigger="run_now",
        command_id=command.command_id,
        data=command.data,
        actor=command.actor,
        reason=command.reason,
        correlation_id=command.correlation_id,
        trace_id=command.trace_id,
        blocked_by=placed.blocked_by,
        ignore_pause=command.ignore_pause,
    )
    view.answer_request(command, execution_id, repeated=False)
    return admit(view, requested, placed.events)


def decide(view: PartitionView, command: request.Act) -> list[Event]:
    """The events of an act with an outcome of its own. Raises `Refused`."""
    job, version = view.wanted(command)
    if job.home != view.partition.number:
        return view.forward(command, command.command_id, job.home)
    check_said(command.actor, command.reason)
    engine = view.engines.of(version.written)
    if engine is None:
        raise Refused("no_schedule", f"{job.job_id} has no schedule in force: `jobledger run {job.job_id}` runs it now")
    match command:
        case request.SkipTick():
            events = _skip(view, command, version, engine)
        case request.Backfill():
            events = _begin(view, command, job, version, engine)
        case _:
            assert_never(command)
    accepted = outcome.Accepted(command.command_id, tag_of(command), "applied" if events else "unchanged", job.job_id, None, command.actor)
    view.answer_outcome(command, accepted)
    return [*events, accepted]


def _skip(view: PartitionView, command: request.SkipTick, version: Version, engine: Schedule) -> list[Event]:
    state = view.schedule_of(command.job_id)
    if state is not None and command.tick_at in state.to_skip:
        return []
    at = instant(command.tick_at)
    if command.tick_at <= max(view.at, state.decided_until if state is not None else 0):
        raise Refused("past", f"tick_at {at} is not in the future: what became of it is in `jobledger why {command.job_id}`")
    following = engine.next_us(command.tick_at - 1)
    spent = state is not None and engine.spec.is_spent(state.fired)
    if following != command.tick_at or spent:
        near = "it has none any more" if following is None or spent else f"the next from there on is {instant(following)}"
        raise Refused("no_tick", f"tick_at {at} is no tick of {command.job_id}: {near}; `jobledger jobs preview` lists them")
    if state is None:
        raise Refused("not_in_force", f"the schedule of {command.job_id} is not in force here yet: send the command again")
    if len(state.to_skip) >= MOST_TO_SKIP:
        raise Refused("too_many", f"{len(state.to_skip)} ticks of {command.job_id} are left out by hand already: pause the job instead")
    return [tick.SkipOrdered(command.job_id, command.tick_at, version.number, command.command_id, command.actor, command.reason)]


def _begin(view: PartitionView, command: request.Backfill, job: Job, version: Version, engine: Schedule) -> list[Event]:
    if command.backfill_id in view.partition.backfilled or view.backfill_of(command.backfill_id) is not None:
        return []
    first, last = command.from_exclusive, command.to_inclusive
    if not 0 <= first < last:
        raise Refused("invalid", f"from {instant(first)} to {instant(last)}: since 1970, the first before the last")
    backfill.check_past(last, view.at)
    if command.only_unfired:
        last = _decided(view, command, version, last)
    planned = engine.count_us(first, last) if first < last else 0
    if planned > MOST_BACKFILLED:
        raise Refused("too_many", f"{planned} ticks, at most {MOST_BACKFILLED} in a backfill: take a shorter range")
    return [
        backfill.Begun(
            command.backfill_id,
            job.job_id,
            version.number,
            first,
            last,
            planned,
            command.only_unfired,
            command.command_id,
            job.tenant,
            command.actor,
            command.reason,
        )
    ]


def _decided(view: PartitionView, command: request.Backfill, version: Version, last: Micros) -> Micros:
    """As far as it is known which ticks fired: those that are not decided yet get an outcome of their own."""
    known_since = view.partition.history.known_since(command.job_id)
    if command.from_exclusive < known_since:
        first, since = instant(command.from_exclusive), instant(known_since)
        raise Refused("history_too_short", f"from {first}: which ticks of {command.job_id} fired is known from {since} on")
    state = view.schedule_of(command.job_id)
    spec = version.schedule
    if state is None or spec is None or spec.is_spent(state.fired):
        return last
    return min(last, state.decided_until)


def may_step(view: PartitionView, running: backfill.Running) -> bool:
    """There is room for a portion: a backfill does not pile up more than its job works off."""
    return len(view.partition.runs.get(running.begun.job_id, ())) < MOST_LIVE


def step(view: PartitionView, running: backfill.Running) -> list[Event]:
    """A portion of a backfill, and where it stands after it."""
    begun = running.begun
    job = view.registry.jobs.get(begun.job_id)
    version = job.version(begun.job_version) if job is not None else None
    engine = view.engines.of(version.written) if version is not None else None
    if job is None or version is None or engine is None or job.state == "retired":
        return [backfill.Finished(begun.backfill_id, begun.job_id, running.requested, running.left_out, "retired")]
    requested: list[Event] = []
    admitting = Admitting(view)
    asked, looked_at, cursor = 0, 0, running.cursor
    size, full = 0, False
    for tick_at in islice(engine.between_us(running.cursor, begun.to_inclusive), LOOKED_AT):
        looked_at, cursor = looked_at + 1, Micros(tick_at)
        if not (begun.only_unfired and _fired(view, begun.job_id, cursor)):
            execution_id = execution_of_backfill(begun.backfill_id, job.job_id, tick_at, view.partition.number)
            admitted = admitting.admit(_backfilled(view, begun, job, version, execution_id, cursor))
            requested += admitted
            asked += 1
            size += sum(map(len, wire.encode_each(admitted)))
            if len(requested) >= PORTION or size >= PORTION_BYTES:
                full = True
                break
    left_out = looked_at - asked
    if looked_at < LOOKED_AT and not full:
        whole = (running.requested + asked, running.left_out + left_out)
        return [*requested, backfill.Finished(begun.backfill_id, begun.job_id, *whole)]
    return [*requested, backfill.Advanced(begun.backfill_id, begun.job_id, cursor, asked, left_out)]


def _fired(view: PartitionView, job_id: str, tick_at: Micros) -> bool:
    history = view.partition.history
    number = history.version_at(job_id, tick_at, view.partition.schedules.get(job_id))
    found = version_of(view.registry, job_id, number) if number is not None else None
    engine = view.engines.of(found[1].written) if found is not None else None
    return engine is not None and engine.next_us(tick_at - 1) == tick_at and not history.did_not_fire(job_id, tick_at)


def _backfilled(
    view: PartitionView, begun: backfill.Begun, job: Job, version: Version, execution_id: ExecutionId, tick_at: Micros
) -> Requested:
    return structs.replace(
        request_of(job, version, execution_id, view.at),
        trigger="backfill",
        tick_at=tick_at,
        backfill_id=begun.backfill_id,
        command_id=begun.command_id,
        actor=begun.actor,
        reason=begun.reason,
    )
