"""Who an event goes back to, and to what: a command, a tick, another execution, a worker's report, a timer. Pure.

Read from the commit it stands in, and from the events before it of the same execution: nothing is stored for it.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, assert_never

from ledger.core import backfill, bulk, definition, execution, letters, outcome, pause, tick
from ledger.core.consequences import ENDS
from ledger.core.ids import ExecutionId, instant
from ledger.core.wire import Event

Kind = Literal["command", "tick", "schedule", "execution", "backfill", "report", "timer", "lease", "registry", "grace"]
CONTROL: Final = "control"
_ACTS = definition.Event | pause.Event | backfill.Begun | bulk.Event | letters.Event | tick.SkipOrdered  # what acts alone lead to
_Wish = execution.CancelRequested | execution.Cancelled


class Cause(NamedTuple):
    """`actor`: a person or a program, a worker, or control by itself; None where who asked did not say. `name`: of what `kind` says."""

    actor: str | None
    kind: Kind
    name: str | None = None

    def __str__(self) -> str:
        return self.kind if self.name is None else f"{self.kind} {self.name}"


class Story:
    """The causes of one execution's events, asked for in their order."""

    def __init__(self) -> None:
        self._worker = CONTROL
        self._waits_for: ExecutionId | None = None  # it stands in a line, and this one was before it
        self._wish: tuple[execution.CancelRequested, Cause] | None = None  # it was asked to stop, and why

    def cause(self, events: Sequence[Event], nth: int) -> Cause:
        """Of the event at this place of a commit, which is one of the execution."""
        event = events[nth]
        assert isinstance(event, execution.Event)
        match event:
            case execution.Requested():
                self._waits_for = event.blocked_by
                return _of_request(event)
            case execution.Due():
                ended = _ended_before(events, nth) if self._waits_for is not None else None
                self._waits_for = None
                return Cause(CONTROL, "timer") if ended is None else Cause(CONTROL, "execution", ended)
            case execution.Blocked():
                self._waits_for = event.by
                return Cause(CONTROL, "execution", event.by)
            case execution.Started(after=str(after)):
                self._worker = event.worker
                return Cause(CONTROL, "execution", after)
            case execution.Started() | execution.HandedBack() | execution.ReportRefused():
                self._worker = event.worker if isinstance(event, execution.Started) else self._worker
                return Cause(event.worker, "report")
            case execution.Progressed() | execution.Completed() | execution.AttemptFailed() | execution.Failed() | execution.Snoozed():
                return Cause(self._worker, "report")
            case execution.AttemptLost() | execution.Lost():
                return Cause(CONTROL, "lease", event.worker)
            case execution.Missed():
                return Cause(CONTROL, "timer", event.reason)
            case execution.Skipped():
                return _of_skip(event)
            case execution.CancelRequested() | execution.Cancelled():
                return self._of_cancel(events, nth, event)
            case _:
                assert_never(event)

    def _of_cancel(self, events: Sequence[Event], nth: int, event: _Wish) -> Cause:
        if self._wish is not None and isinstance(event, execution.Cancelled):
            wish, cause = self._wish
            if (event.reason, event.because_of) == (wish.reason, wish.because_of):  # what was asked for has happened
                return Cause(self._worker, "report") if event.run_ms else cause  # a worker that is lost tells of no time
        cause = self._asked(events, nth, event)
        if isinstance(event, execution.CancelRequested):
            self._wish = event, cause
        return cause

    def _asked(self, events: Sequence[Event], nth: int, event: _Wish) -> Cause:
        if event.because_of is not None:
            return Cause(event.actor or CONTROL, "execution", event.because_of)
        if event.reason == "by_handler":
            return Cause(self._worker, "report")
        return Cause(event.actor, "command", command_behind(events, nth))


def _of_request(event: execution.Requested) -> Cause:
    match event.trigger:
        case "schedule":
            return Cause(CONTROL, "tick", None if event.tick_at is None else instant(event.tick_at))
        case "backfill":
            return Cause(event.actor, "backfill", event.backfill_id)
        case "submit" | "run_now" | "retry":
            return Cause(event.actor, "command", event.command_id)
        case _:
            assert_never(event.trigger)


def _of_skip(event: execution.Skipped) -> Cause:
    if event.worker is not None:
        return Cause(event.worker, "report")
    if event.reason in ("busy", "replaced"):  # the detail of these begins with who held the key, or came after it
        return Cause(CONTROL, "execution", None if event.detail is None else event.detail.partition(" ")[0])
    return Cause(CONTROL, "grace", event.reason)


def _ended_before(events: Sequence[Event], nth: int) -> ExecutionId | None:
    """The execution whose end, in the same decision, made this one the next in line."""
    for before in reversed(events[:nth]):
        if isinstance(before, execution.Event) and type(before) in ENDS:
            return before.execution_id
        if not isinstance(before, tick.AutoPaused):
            return None
    return None


def command_behind(events: Sequence[Event], nth: int) -> str | None:
    """The command that decided to the event at this place: an act's outcome stands behind what it led to."""
    outcomes = (one.command_id for one in events[nth:] if isinstance(one, outcome.Accepted | outcome.Rejected))
    return next(outcomes, None)


def first_of_act(events: Sequence[Event], nth: int) -> int:
    """Where the act begins whose outcome stands at `nth`: behind the outcome before it there may be what no command asked for, and submits,
    which leave none."""
    verdict = events[nth]
    if not isinstance(verdict, outcome.Accepted) or verdict.outcome != "applied":
        return nth
    named = verdict.execution_id
    if named is None:
        return _first_while(events, nth, lambda event: isinstance(event, _ACTS))
    for place in range(nth - 1, -1, -1):
        match events[place]:
            case execution.CancelRequested(execution_id=found) | execution.Cancelled(execution_id=found) if found == named:
                return place
            case execution.Requested(execution_id=found) if found == named:
                return _first_while(events, place, lambda event: _gave_way(event, named))
            case outcome.Accepted() | outcome.Rejected():
                break
    return nth


def _first_while(events: Sequence[Event], nth: int, is_part: Callable[[Event], bool]) -> int:
    while nth and is_part(events[nth - 1]):
        nth -= 1
    return nth


def _gave_way(event: Event, to: ExecutionId) -> bool:
    match event:
        case execution.Blocked(by=by):
            return by == to
        case execution.Skipped(reason="replaced"):
            return _of_skip(event).name == to
        case _:
            return False


def cause_of_job(events: Sequence[Event], nth: int) -> Cause:
    """Of an event that concerns a job, its versions, its schedule or a pause of it; of an execution only its request."""
    event = events[nth]
    match event:
        case execution.Requested():
            return _of_request(event)
        case definition.Registered() | definition.Versioned() | definition.Retired() | definition.ManifestApplied():
            return Cause(event.actor, "command", command_behind(events, nth))
        case pause.Began() | pause.Ended():
            return Cause(event.actor, "command", command_behind(events, nth))
        case tick.Adopted() | tick.Dropped():
            return Cause(CONTROL, "registry")
        case tick.AutoResumed():
            return Cause(event.actor or CONTROL, "registry")
        case tick.AutoPaused():
            return Cause(CONTROL, "execution", event.because_of)
        case tick.SkipOrdered():
            return Cause(event.actor, "command", event.command_id)
        case tick.Skipped():
            return Cause(CONTROL, "schedule") if event.because_of is None else Cause(CONTROL, "execution", event.because_of)
        case tick.Missed():
            return Cause(CONTROL, "schedule")
        case backfill.Begun():
            return Cause(event.actor, "command", event.command_id)
        case backfill.Advanced() | backfill.Finished():
            return Cause(CONTROL, "backfill", event.backfill_id)
        case outcome.Accepted() | outcome.Rejected():
            return Cause(event.actor, "command", event.command_id)
        case _:
            raise TypeError(f"{type(event).__name__} is of no job")
