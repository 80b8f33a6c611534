"""One home partition, replayed in memory under another policy: control's own fold, draft and schedules, driven by a virtual clock.

The clock stops at each recorded commit, with the registry as that commit knew it, and between them where the other policy has something to
decide. Nothing here reads or writes a log.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, assert_never

from msgspec import structs

from ledger.client.whatif_facts import Facts
from ledger.client.whatif_held import Held
from ledger.client.whatif_plans import Planned, Plans, Queue
from ledger.core import executing, execution, tick
from ledger.core.consequences import followed
from ledger.core.definition import Registry
from ledger.core.engines import Engines
from ledger.core.exclusivity import admit
from ledger.core.execution import Active, Buffered, Cancelled, CancelRequested, Delayed, Requested, Started, Waiting, begun
from ledger.core.ids import Address, ExecutionId, Micros
from ledger.core.overlap import FREE, place
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.pause import names_of
from ledger.core.recorded import Asked, Recorder
from ledger.core.uniqueness import name_of
from ledger.core.wire import Event
from processors.control.schedules import Schedules

AWAY: Final = 75_000_000  # control that says nothing for longer was not there: it appends at least once a minute
BEFORE_TICKS: Final = (execution.AttemptLost, execution.Lost)  # what control finds out by itself, it decides before the ticks


@dataclass(frozen=True, slots=True)
class Beat:
    """A recorded commit of the partition: when, and which place of the registry it knew."""

    seq: int
    at: Micros
    registry: Address | None


class Replayed(Schedules):
    """Ticks that were recorded are due when the commits that decided them come, in the order in which they were due then."""

    def __init__(self, partition: Partition, registry: Registry, recorder: Recorder, beats: Sequence[Beat]) -> None:
        super().__init__(partition, registry, Engines())
        self._recorder = recorder
        self._times = {one.seq: one.at for one in beats}
        self._due: dict[str, int] = {}
        self._turn = lambda job_id: (self._due[job_id], job_id)

    def _decided_at(self, job_id: str, following: int, due: int) -> Micros:
        self._due[job_id] = due
        seq = self._recorder.decision(job_id, following)
        return Micros(due if seq is None else max(due, self._times.get(seq, due)))


class World:
    """`partition`: as recorded up to where the replay begins. `beats`: the recorded commits behind that, in order. `most`: so many
    executions of a job run at once, if anything is said of it. `told`: the events of the replay with their times."""

    def __init__(
        self, partition: Partition, facts: Facts, recorder: Recorder, plans: Plans, beats: Sequence[Beat], most: int | None = None
    ) -> None:
        self._partition, self._facts, self._recorder, self._plans = partition, facts, recorder, plans
        self._beats, self._times, self._most = beats, [one.at for one in beats], most
        self._schedules = Replayed(partition, facts.fold.registry, recorder, beats)
        self._schedules.begin()
        self._nth = 0  # the next recorded commit
        self._news_at: int | None = None  # when the registry said what that one is the first to know
        self._held = Held(plans)
        self._running: dict[str, set[ExecutionId]] = {}
        self._quiet_at: int | None = None  # a wish of the clock that came to nothing
        self._followed = 0  # events of the draft under way
        self.told: list[tuple[Micros, Event]] = []
        for execution_id, state in list(partition.executions.items()):
            if not isinstance(state, execution.Ended):
                plans.resume(execution_id, state, Micros(partition.head.at))
                if isinstance(state, Active):
                    self._running.setdefault(state.request.job_id, set()).add(execution_id)

    def run(self) -> None:
        """To the time of the last recorded commit: what is due behind that is not decided in the record either."""
        for nth, beat in enumerate(self._beats):
            self._nth, self._news_at = nth, self._facts.news_at(beat.registry)
            self._between(beat.at)
            if self._schedules.notice(self._facts.reach(beat.registry)):
                self._held.resumed()
            self._decide(beat.at, beat.seq)
            self._plans.reached = beat.seq + 1
        if self._beats:
            self._nth = len(self._beats)
            self._between(self._times[-1] + 1)

    # The clock

    def _between(self, before: int) -> None:
        """All that is decided earlier than this."""
        while (wake := self._next_wake()) is not None and wake < before:
            told = len(self.told)
            self._decide(Micros(wake), None)
            self._quiet_at = wake if len(self.told) == told else None

    def _next_wake(self) -> int | None:
        wishes = [self._plans.next_free(), self._schedules.next_due(), self._next_timer()]
        at = min((one for one in wishes if one is not None), default=None)
        return None if at is None else self._when_there(at)

    def _when_there(self, at: int) -> int:
        """Control decides at once where it was there; else when it came back. What the registry moves it takes over at once, too."""
        before = self._beats[self._nth - 1].at if self._nth else self._partition.head.at
        at = max(at, before, self._partition.head.at)
        if self._nth == len(self._beats):
            return at
        after = self._beats[self._nth].at
        was_away = after - before > AWAY or (self._news_at is not None and self._news_at < at)
        return max(at, after) if was_away else at

    def _next_timer(self) -> int | None:
        timers = self._timers()
        if not timers or timers[0][0] == self._quiet_at:
            return None
        return None if self._is_recorded(*timers[0]) else timers[0][0]

    def _timers(self) -> list[tuple[Micros, ExecutionId]]:
        """As a heap whose first one is due when it says so: workers are heard out before a start is too late, as long as they were."""
        timers = self._partition.timers
        while timers and (heard := self._heard_out(timers[0][1])) > timers[0][0]:
            heapreplace(timers, (heard, timers[0][1]))
        return timers

    def _heard_out(self, execution_id: ExecutionId) -> Micros:
        state = self._partition.executions.get(execution_id)
        return Micros(self._plans.known_at(execution_id, state, self._times[-1]) if isinstance(state, Waiting) else 0)

    def _is_recorded(self, until: Micros, execution_id: ExecutionId) -> bool:
        """A commit that is still to come decided it."""
        script, nth = self._recorder.scripts.get(execution_id), bisect_left(self._times, until, self._nth)
        seq = self._beats[nth].seq if nth < len(self._beats) else None
        return script is not None and seq is not None and (seq in script.by_timer or seq == script.cancelled)

    # Deciding

    def _decide(self, at: Micros, seq: int | None) -> None:
        """As an actor does: what the registry moved, what was lost, what is due, then what was asked for and reported. What becomes due by
        that belongs to the next commit, recorded or not."""
        queue: Queue = [] if seq is None else self._plans.at_commit(seq)
        draft = self._begun(self._draft(at))
        for entry in sorted(one for one in queue if self._is_before_ticks(one[2])):
            queue.remove(entry)
            draft = self._include(draft, seq, entry[2])
        heapify(queue)
        self._due(draft, is_between=seq is None)
        if seq is None:
            for nth, planned in enumerate(self._plans.pop_free(at)):
                heappush(queue, (nth, 0, planned))
        else:
            for asked in self._recorder.asked.get(seq, ()):
                heappush(queue, (asked.mark.nth, 0, asked))
        while queue or draft.events or draft.acknowledges:
            while queue:
                draft = self._include(draft, seq, heappop(queue)[2])
                while (other := self._held.instead()) is not None:
                    draft = self._include(draft, seq, other)
            draft = self._begun(self._append(draft))

    def _draft(self, at: Micros) -> PartitionDraft:
        self._followed = 0
        return PartitionDraft(self._partition, self._facts.fold.registry, at, facts_are_fresh=True, engines=self._schedules.engines)

    def _begun(self, draft: PartitionDraft) -> PartitionDraft:
        """What the registry moved is taken over."""
        while not self._schedules.adopt(draft):
            draft = self._append(draft)
        self._follow(draft)
        return draft

    def _due(self, draft: PartitionDraft, *, is_between: bool) -> None:
        self._schedules.fire(draft)
        while (timers := self._timers()) and timers[0][0] <= draft.at and not (is_between and self._is_recorded(*timers[0])):
            if not draft.include(draft.decide_timer(timers[0][1])):
                break
            heappop(timers)
        self._follow(draft)

    def _append(self, draft: PartitionDraft) -> PartitionDraft:
        """What was decided is in the fold; the next draft."""
        self._follow(draft)
        if draft.events:
            self._partition.accept(draft.header(), tuple(draft.events), "", self._partition.head.next_offset)
            self.told += [(draft.at, event) for event in draft.events]
        self._schedules.committed({event.job_id for event in draft.events if isinstance(event, tick.Event)})
        return self._draft(draft.at)

    def _follow(self, draft: PartitionDraft) -> None:
        """Events taken in since the last time lead to plans."""
        events, self._followed = draft.events[self._followed :], len(draft.events)
        for event in events:
            if isinstance(event, tick.AutoResumed):
                self._held.resumed()
            elif isinstance(event, execution.Event):
                after = draft.state_of(event.execution_id)
                self._plans.follow(event, after, draft.at)
                if isinstance(after, Active):
                    self._running.setdefault(after.request.job_id, set()).add(event.execution_id)
                else:
                    self._stopped(event.execution_id)

    def _stopped(self, execution_id: ExecutionId) -> None:
        for job_id, running in self._running.items():
            if execution_id in running:
                running.discard(execution_id)
                self._held.ended(job_id)

    def _include(self, draft: PartitionDraft, seq: int | None, what: Planned | Asked) -> PartitionDraft:
        if not draft.include(self._events_of(draft, what, seq)):
            draft = self._append(draft)
            draft.include(self._events_of(draft, what, seq))
        self._follow(draft)
        return draft

    def _events_of(self, draft: PartitionDraft, what: Planned | Asked, seq: int | None) -> Sequence[Event]:
        if isinstance(what, Asked):
            return self._of_asked(draft, what)
        state = draft.state_of(what.execution_id)
        event: execution.Event | None = None
        if self._plans.nth.get(what.execution_id, 0) != what.nth:
            pass  # it is over
        elif what.act == "start" and isinstance(state, Waiting):
            if seq is None and self._has_to_wait(draft, what, state.request):
                return ()
            event = self._plans.of_start(what, state)
        elif what.act != "start" and isinstance(state, Active):
            event = self._plans.of_end(what, state, draft.at)
        if seq is None and not isinstance(event, Started):
            self._held.came_to_nothing(what)
        return () if event is None else followed(draft, [event])

    def _of_asked(self, draft: PartitionDraft, asked: Asked) -> Sequence[Event]:
        match asked.event:
            case Requested() as requested:
                placed = FREE
                if requested.trigger == "run_now":
                    placed = place(asked.policy, dict(draft.live(requested.job_id)), requested.execution_id, draft.at)
                gone = [*placed.events, *(one for one in asked.replaced if _may_be_replaced(draft.state_of(one.execution_id), requested))]
                return admit(draft, structs.replace(requested, blocked_by=placed.blocked_by), gone)
            case CancelRequested() | Cancelled() as wish:
                cancel = execution.Cancel(wish.execution_id, "asked", None, wish.actor, wish.detail)
                return followed(draft, executing.decide(cancel, draft.state_of(wish.execution_id), draft.at))
            case tick.SkipOrdered() as ordered:
                state = draft.schedule_of(ordered.job_id)
                return [ordered] if state is not None and ordered.tick_at > state.decided_until else []
            case _:
                assert_never(asked.event)

    def _is_before_ticks(self, what: Planned | Asked) -> bool:
        if isinstance(what, Asked) or what.act == "start":
            return False
        script = self._recorder.scripts.get(what.execution_id)
        return script is not None and what.nth < len(script.tries) and isinstance(script.tries[what.nth].end, BEFORE_TICKS)

    # Who has to wait with its start

    def _has_to_wait(self, draft: PartitionDraft, planned: Planned, request: Requested) -> bool:
        """For a pause, or for another of its job to end. Asked of those alone that do not start as recorded."""
        is_full = self._most is not None and len(self._running.get(request.job_id, ())) >= self._most
        if is_full or self._is_paused(draft, request):
            self._held.hold(planned, request.job_id, is_full=is_full)
            return True
        return False

    def _is_paused(self, draft: PartitionDraft, request: Requested) -> bool:
        if request.ignore_pause:
            return False
        standing, state = self._facts.fold.registry.pauses.standing, draft.schedule_of(request.job_id)
        names = names_of(request.job_id, request.queue, request.tenant, request.exclusive_key)
        return (state is not None and state.stopped is not None) or any(name in standing for name in names)


def _may_be_replaced(state: execution.State | None, by: Requested) -> bool:
    """It has the same unique key and has not begun."""
    if isinstance(state, Buffered) or (isinstance(state, Waiting | Delayed) and not begun(state)):
        return name_of(state.request) == name_of(by)
    return False
