"""What will become of the executions of a replay: when workers start and end them, from what is recorded of each, or of its job.

An execution that may run at the very time at which it could when recorded starts and ends at the commits at which it did. Any other one
waits and runs as long as it did; one that never ran as long as is usual for its job.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Literal

from msgspec import structs

from ledger.core import execution
from ledger.core.execution import Active, Cancelled, CancelRequested, Started, Waiting
from ledger.core.ids import ExecutionId, Micros, WorkerId
from ledger.core.recorded import Asked, Figures, Mark, Recorder, Try, may_run_at_once

NOBODY: Final = WorkerId("replay")
Act = Literal["start", "end", "stop"]  # `stop`: it ends because it was asked to


@dataclass(frozen=True, slots=True)
class Planned:
    """`nth`: the try it belongs to; one that is over by then makes it void."""

    execution_id: ExecutionId
    act: Act
    nth: int


Queue = list[tuple[int, int, Planned | Asked]]  # a heap: (place among the events of a recorded commit, order, what)


class Plans:
    """`capped`: another number of its executions may run at once than did; so what waited for one of them would have been quick."""

    def __init__(self, recorder: Recorder, *, capped: bool) -> None:
        self._recorder, self._capped = recorder, capped
        self.nth: dict[ExecutionId, int] = {}  # the present try of each
        self._at_commit: dict[int, Queue] = {}  # by recorded commit
        self._free: list[tuple[int, int, Planned]] = []  # (time, order, what)
        self._order = 0
        self.reached = 0  # recorded commits before this one are past

    def begin(self, execution_id: ExecutionId) -> None:
        """It is live where the replay begins, and that is all that is recorded yet."""
        script = self._recorder.scripts.get(execution_id)
        if script is not None and script.tries:
            self.nth[execution_id] = len(script.tries) - 1

    def resume(self, execution_id: ExecutionId, state: execution.State, at: Micros) -> None:
        """After `begin`, once the rest of the record is known."""
        one = self._try(execution_id)
        if isinstance(state, Waiting):
            self._plan_start(execution_id, state.request.job_id, at if one is None else Micros(one.eligible.at))
        elif isinstance(state, Active):
            started = None if one is None else one.started
            self._plan_end(execution_id, state.request.job_id, at if started is None else Micros(started.at))
            if state.cancel is not None:
                asked = None if one is None else one.asked_to_stop
                self._plan_stop(execution_id, state.request.job_id, at if asked is None else Micros(asked.at))

    def at_commit(self, seq: int) -> Queue:
        """What was recorded there, as a heap that more may be pushed into while it is worked off."""
        self.reached = seq
        return self._at_commit.setdefault(seq, [])

    def next_free(self) -> int | None:
        return self._free[0][0] if self._free else None

    def pop_free(self, until: int) -> list[Planned]:
        found: list[Planned] = []
        while self._free and self._free[0][0] <= until:
            found.append(heappop(self._free)[2])
        return found

    def again(self, planned: Planned, place: int) -> None:
        """It was held: it tries as soon as control is there, before whoever was not, in the order of their places."""
        heappush(self._free, (0, place, planned))

    def follow(self, event: execution.Event, state: execution.State | None, at: Micros) -> None:
        """An event of the replay, and the state after it."""
        execution_id = event.execution_id
        match event:
            case execution.Requested() if not may_run_at_once(event, at):
                pass  # if it may now, that is by an event behind this one
            case execution.Requested() | execution.Due() | execution.HandedBack() | execution.AttemptLost():
                if isinstance(state, Waiting):
                    self.nth[execution_id] = self.nth.get(execution_id, -1) + 1
                    self._plan_start(execution_id, state.request.job_id, at)
            case Started():
                if isinstance(state, Active):
                    self._plan_end(execution_id, state.request.job_id, at)
            case CancelRequested():
                if isinstance(state, Active):
                    self._plan_stop(execution_id, state.request.job_id, at)
            case _:
                pass

    def of_start(self, planned: Planned, state: Waiting) -> execution.Event:
        """The start, or the skip of a worker that would not start it."""
        one = self._try(planned.execution_id)
        if one is not None and one.started is None and isinstance(one.end, execution.Skipped):
            return one.end
        worker = NOBODY if one is None or one.worker is None else one.worker
        return Started(planned.execution_id, state.attempt, state.token, worker)

    def of_end(self, planned: Planned, state: Active, at: Micros) -> execution.Event:
        """The end of the present try, as it was recorded or is usual."""
        one = self._try(planned.execution_id)
        if planned.act == "stop" and state.cancel is not None:
            wish = state.cancel
            return Cancelled(wish.execution_id, wish.reason, state.attempt, 0, wish.because_of, wish.actor, wish.detail)
        if one is None or one.end is None or one.ended is None or one.was_cut:
            return execution.Completed(planned.execution_id, state.attempt)
        moved = at - one.ended.at
        match one.end:
            case execution.AttemptFailed() as end:
                return structs.replace(end, attempt=state.attempt, retry_at=Micros(end.retry_at + moved))
            case execution.Snoozed() as end:
                return structs.replace(end, attempt=state.attempt, until=Micros(end.until + moved))
            case execution.Completed() | execution.Failed() | execution.HandedBack() | execution.AttemptLost() | execution.Lost() as end:
                return structs.replace(end, attempt=state.attempt)
            case execution.Skipped() | Cancelled() as end:
                return structs.replace(end, attempt=state.attempt)
            case _:
                raise AssertionError(f"{type(one.end).__name__} ends no try")

    def known_at(self, execution_id: ExecutionId, state: Waiting, last: int) -> int:
        """When the record knew what became of one that waits as it did then; else 0. The start, if there was one, comes before a timer of
        that time. `last`: of the last recorded commit; what is not known by then was not decided."""
        one = self._as_recorded(execution_id, state.eligible_at)
        if one is None:
            return 0
        mark = one.started or one.ended or one.broken_off
        if mark is None:
            return last + 1
        return mark.at if mark.seq in self._recorder.scripts[execution_id].by_timer else mark.at + 1

    def _as_recorded(self, execution_id: ExecutionId, eligible_at: int) -> Try | None:
        """Its present try, if it may run from the very time on at which it could when recorded."""
        one = self._try(execution_id)
        return one if one is not None and eligible_at == one.eligible.at and not self._capped else None

    def _try(self, execution_id: ExecutionId) -> Try | None:
        script, nth = self._recorder.scripts.get(execution_id), self.nth.get(execution_id, 0)
        return script.tries[nth] if script is not None and 0 <= nth < len(script.tries) else None

    def _plan_start(self, execution_id: ExecutionId, job_id: str, at: Micros) -> None:
        one, figures = self._try(execution_id), self._figures(job_id)
        planned = Planned(execution_id, "start", self.nth.get(execution_id, 0))
        mark = None if one is None else one.started or (one.ended if isinstance(one.end, execution.Skipped) else None)
        if (same := self._as_recorded(execution_id, at)) is not None:
            if mark is not None:
                self._anchor(mark, planned)
            elif same.broken_off is not None:
                self._push(max(at + figures.usual_wait, same.broken_off.at), planned)
            return  # as recorded: nobody took it
        wait = figures.usual_wait if one is None or mark is None else mark.at - one.eligible.at
        if self._capped and (one is None or one.was_full):
            wait = min(wait, figures.quickest_wait)
        self._push(at + wait, planned)

    def _plan_end(self, execution_id: ExecutionId, job_id: str, at: Micros) -> None:
        one, figures = self._try(execution_id), self._figures(job_id)
        planned = Planned(execution_id, "end", self.nth.get(execution_id, 0))
        if one is None or one.started is None:
            self._push(at + figures.usual_run, planned)
        elif one.ended is None:
            if at != one.started.at:
                self._push(at + figures.usual_run, planned)
        elif one.was_cut:
            self._push(at + max(figures.usual_run, one.ended.at - one.started.at), planned)
        elif at == one.started.at:
            self._anchor(one.ended, planned)
        else:
            self._push(at + one.ended.at - one.started.at, planned)

    def _plan_stop(self, execution_id: ExecutionId, job_id: str, at: Micros) -> None:
        one, figures = self._try(execution_id), self._figures(job_id)
        planned = Planned(execution_id, "stop", self.nth.get(execution_id, 0))
        if one is None or one.asked_to_stop is None:
            self._push(at + figures.usual_reaction, planned)
        elif one.was_cut and one.ended is not None:
            if at == one.asked_to_stop.at:
                self._anchor(one.ended, planned)
            else:
                self._push(at + one.ended.at - one.asked_to_stop.at, planned)

    def _figures(self, job_id: str) -> Figures:
        return self._recorder.figures.get(job_id) or Figures()

    def _anchor(self, mark: Mark, planned: Planned) -> None:
        """It happens at the very commit at which it was recorded, unless that is past."""
        self._order += 1
        if mark.seq < self.reached:
            self._push(mark.at, planned)
            return
        heappush(self._at_commit.setdefault(mark.seq, []), (mark.nth, self._order, planned))

    def _push(self, at: int, planned: Planned) -> None:
        self._order += 1
        heappush(self._free, (at, self._order, planned))
