"""From verdicts on ticks to events: each expected tick of a job leaves exactly one outcome. Source: scheduling.md, section 6."""

from typing import Final, assert_never

from msgspec import structs

from ledger.core import due, tick
from ledger.core.definition import Job, Version
from ledger.core.engines import version_of
from ledger.core.exclusivity import Admitting
from ledger.core.execution import Live, Requested
from ledger.core.ids import ExecutionId, Micros, exclusive_key, execution_of_tick
from ledger.core.instants import deadline_after
from ledger.core.options import Options, kept, priority_of
from ledger.core.overlap import Placed, place
from ledger.core.partition_view import PartitionView
from ledger.core.pause import Span, names_of
from ledger.core.policies import delay_us, engine_versions
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tick import InForce
from ledger.core.wire import Event

_OF_A_TICK: Final = (Requested, tick.Skipped, tick.Missed)
ENOUGH: Final = 300  # events of the ticks of one job in a commit; a firing that cancels others brings up to 80 more


def settle(view: PartitionView, job_id: str, until: int | None = None) -> bool:
    """Decide the job's ticks up to this nominal instant, or all that are due. False: there is more, and it belongs to the next commit."""
    events, whole = outcomes_of(view, job_id, until)
    return view.include(events) and whole


def outcomes_of(view: PartitionView, job_id: str, until: int | None = None) -> tuple[list[Event], bool]:
    """The outcomes of these ticks, not taken in yet, and whether they are all that are due."""
    state = view.schedule_of(job_id)
    found = version_of(view.registry, job_id, state.job_version) if state is not None else None
    first = state.next_at if state is not None and view.partition.reckons_with == engine_versions() else None
    if state is None or found is None or (first is not None and first > (view.at if until is None else until)):
        return [], True
    job, version = found
    engine = view.engines.of(version.written)
    if engine is None or engine.spec.is_spent(state.fired):
        return [], True
    spec = engine.spec
    delay = delay_us(job_id, spec.jitter_ms)
    until = view.at - delay if until is None else until
    if until <= state.decided_until or (first is not None and first > until):
        return [], True
    bars = bars_of(view, job, state, until)
    judged = due.judge(engine, spec, state.decided_until, until, view.at - delay, bars, first)
    outcomes = Outcomes(view, job, version, spec, state, delay)
    return outcomes.of(judged), judged.whole and outcomes.whole


def bars_of(view: PartitionView, job: Job, state: InForce, until: int) -> list[due.Bar]:
    """What keeps the job's ticks up to this nominal instant from firing: pauses, and what was left out by hand."""
    pauses = view.registry.pauses
    if pauses.are_none and state.stopped is None and not state.to_skip:
        return []
    spans = [] if pauses.are_none else pauses.spans(names_of(job.job_id, job.queue, job.tenant, key_of(job)), state.decided_until)
    if state.stopped is not None:
        spans.append(Span(state.stopped.since))
    return due.bars_of(spans, state.to_skip, state.decided_until, until)


def key_of(job: Job) -> str | None:
    """The exclusivity key of a job's own executions."""
    return exclusive_key(job.job_id, job.job_name, job.tenant, job.exclusive_scope, job.exclusive_key)


def request_of(job: Job, version: Version, execution_id: ExecutionId, at: Micros, due_at: Micros | None = None) -> Requested:
    """A run of a job as its version says, from now on or from the time it is due."""
    deadline = None
    if version.options is not None and version.options.start_deadline_ms is not None:
        deadline = deadline_after(due_at or at, version.options.start_deadline_ms)
    return Requested(
        execution_id,
        job.job_id,
        job.job_name,
        version.number,
        job.kind,
        job.queue,
        at,
        tenant=job.tenant,
        exclusive_key=key_of(job),
        priority=priority_of(None, version.options),
        options=kept(version.options),
        start_deadline=deadline,
    )


class Outcomes:
    """The outcomes of some ticks of one job, in their order, each seeing what the ones before it led to."""

    def __init__(self, view: PartitionView, job: Job, version: Version, spec: ScheduleSpec, state: InForce, delay: int) -> None:
        self._view, self._job, self._version, self._delay = view, job, version, delay
        self._overlap = spec.overlap
        self._left = None if spec.most is None else spec.most - state.fired
        self._former: dict[ExecutionId, Live] | None = None
        self._admitting = Admitting(view)
        self._events: list[Event] = []
        self.whole = True  # nothing of it belongs to the next commit

    def of(self, judged: due.Judged) -> list[Event]:
        """The last of them says which tick is expected next."""
        following = judged.following
        for verdict in judged.verdicts:
            if self._left == 0:
                following = None
                break  # no tick is expected after the last that may fire
            if len(self._events) >= ENOUGH:
                self.whole, following = False, verdict.tick_at if isinstance(verdict, due.Fire) else verdict.ticks.first
                break
            match verdict:
                case due.Fire(tick_at):
                    self._fire(tick_at)
                case due.Skip(reason, ticks):
                    self._skip(reason, ticks, None)
                case due.Miss(reason, ticks):
                    job = self._job
                    self._events.append(
                        tick.Missed(
                            job.job_id, job.job_name, self._version.number, ticks.first, ticks.last, ticks.count, reason, job.tenant
                        )
                    )
                case _:
                    assert_never(verdict)
        last = self._events[-1] if self._events else None
        if following is not None and self._left != 0 and isinstance(last, _OF_A_TICK):
            self._events[-1] = structs.replace(last, next_tick_at=Micros(following))
        return self._events

    def _fire(self, tick_at: Micros) -> None:
        job, view = self._job, self._view
        new = execution_of_tick(job.job_id, tick_at, view.partition.number)
        former = self._left_of_former() if self._overlap != "allow_all" else {}
        placed = place(self._overlap, former, new, view.at)
        if placed.refused is not None:
            self._skip(placed.refused, due.Range(tick_at, tick_at, 1), placed.blocked_by)
            return
        if placed.blocked_by is None and (holder := self._busy(placed)) is not None:
            self._skip("busy", due.Range(tick_at, tick_at, 1), holder)
            return
        due_at = Micros(tick_at + self._delay)
        requested = structs.replace(
            request_of(job, self._version, new, view.at, due_at),
            trigger="schedule",
            tick_at=tick_at,
            due_at=due_at,
            run_at=due_at if due_at > view.at else None,
            blocked_by=placed.blocked_by,
        )
        self._events += self._admitting.admit(requested, placed.events)
        self._former = former
        if self._left is not None:
            self._left -= 1

    def _left_of_former(self) -> dict[ExecutionId, Live]:
        """The executions of the job that this firing may have to do with; there may be thousands, so nobody asks in vain."""
        job_id = self._job.job_id
        return dict(self._view.live(job_id)) if self._former is None else self._admitting.left_of(job_id, self._former)

    def _busy(self, placed: Placed) -> ExecutionId | None:
        """Who is before this tick at the exclusivity key, if the version says that its ticks do not wait for it."""
        options: Options | None = self._version.options
        key = key_of(self._job)
        if options is None or options.busy != "skip" or key is None:
            return None
        return self._admitting.stands_before(key, placed.events)

    def _skip(self, reason: tick.SkipReason, ticks: due.Range, because_of: ExecutionId | None) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, tick.Skipped) and (last.reason, last.because_of) == (reason, because_of):
            self._events[-1] = structs.replace(last, last_tick_at=ticks.last, count=last.count + ticks.count)
            return
        job = self._job
        self._events.append(
            tick.Skipped(
                job.job_id,
                job.job_name,
                self._version.number,
                ticks.first,
                ticks.last,
                ticks.count,
                reason,
                job.tenant,
                because_of,
            )
        )
