"""Exclusivity: of the executions under one key, one at a time holds it; the others wait in line, are skipped, or replace who waits.

An execution holds its key from the moment it may start until it is terminal, retries and snoozes included: the order of the line is the
order of the work. What is delayed and has not begun is not in line yet; it queues when its time has come. All executions under a key live
in one partition, so this is decided there, in the log, and a lock guards only the code. Source: scheduling.md, section 1.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, assert_never

from msgspec import structs

from ledger.core.execution import MOST_REPLACED, Blocked, Buffered, Cancelled, Delayed, Due, Live, Requested, Skipped, Waiting, begun
from ledger.core.ids import ExecutionId, Token
from ledger.core.options import Busy
from ledger.core.partition_view import PartitionView
from ledger.core.wire import Event

_NO_TOKEN: Final = Token(0)


def busy_of(request: Requested) -> Busy:
    return (request.options.busy if request.options is not None else None) or "wait"


def admit(view: PartitionView, requested: Requested, before: Sequence[Event] = ()) -> list[Event]:
    """The events of one request, see `Admitting.admit`."""
    if requested.exclusive_key is None:
        return [*before, requested]
    return Admitting(view).admit(requested, before)


def became_due(view: PartitionView, state: Delayed) -> list[Event]:
    """The time of a delayed execution has come: it may run, or has to queue for its key."""
    request = state.request
    if request.exclusive_key is None or begun(state):
        return [Due(request.execution_id)]
    return Admitting(view).queue(request)


def next_in_line(view: PartitionView, request: Requested, ended: ExecutionId) -> list[Event]:
    """`ended` is about to end (`request` is its own): if it held its key, the first in line is next."""
    key = request.exclusive_key
    if key is None or view.holder(key) != ended:
        return []
    first = next((one for one, _ in view.in_line(key) if one != ended), None)
    return [] if first is None else [Due(first)]


class Admitting:
    """The requests of one decision, each seeing what the ones before it lead to."""

    def __init__(self, view: PartitionView) -> None:
        self._view = view
        self._here: dict[ExecutionId, Live] = {}  # what this decision asked for, or made due
        self._gone: set[ExecutionId] = set()

    def admit(self, requested: Requested, before: Sequence[Event] = ()) -> list[Event]:
        """`before`: what the same decision says first, such as executions that it cancels. By its overlap policy it may be `blocked_by`
        another of its job already; then it waits in line, whatever its options say of a busy key."""
        if before:
            self._gone.update(_cancelled(before))
        key = requested.exclusive_key
        if key is None:
            self._here[requested.execution_id] = self._state(requested)
            return [*before, requested]
        first = self._due_first(key)
        replaced: list[Event] = []
        skipped: list[Event] = []
        if not (self._is_delayed(requested) and requested.blocked_by is None):
            holder = self.holder(key)
            busy = "wait" if requested.blocked_by is not None else busy_of(requested)
            if busy == "keep_last":
                replaced, holder = self._replaced(requested, holder)
            if requested.ignore_pause and holder is not None and self._gives_way(holder):
                replaced.append(Blocked(holder, requested.execution_id))
                self._gone.add(holder)
                holder = None
            if busy == "skip" and holder is not None:
                skipped = [_busy(requested.execution_id, holder)]
            if holder is None or requested.blocked_by is None:
                requested = structs.replace(requested, blocked_by=holder)
        if not skipped:
            self._here[requested.execution_id] = self._state(requested)
        return [*before, *first, *replaced, requested, *skipped]

    def left_of(self, job_id: str, former: dict[ExecutionId, Live]) -> dict[ExecutionId, Live]:
        """Those of this job that have not ended here, and what was asked for here; who became due may be another's."""
        here = {one: state for one, state in self._here.items() if state.request.job_id == job_id}
        return {one: state for one, state in {**former, **here}.items() if one not in self._gone}

    def _is_delayed(self, requested: Requested) -> bool:
        return requested.run_at is not None and requested.run_at > self._view.at

    def _state(self, requested: Requested) -> Live:
        """What it will be, but for its token."""
        if requested.blocked_by is not None:
            return Buffered(requested)
        if requested.run_at is not None and self._is_delayed(requested):
            return Delayed(requested, requested.run_at)
        return Waiting(requested, _NO_TOKEN, self._view.at)

    def queue(self, request: Requested) -> list[Event]:
        """It was asked for before, and its time has come."""
        key, execution_id = request.exclusive_key or "", request.execution_id
        first = self._due_first(key)
        holder = self.holder(key)
        busy = busy_of(request)
        replaced: list[Event] = []
        if busy == "keep_last":
            replaced, holder = self._replaced(request, holder)
        if holder is None:
            return [*first, *replaced, Due(execution_id)]
        match busy:
            case "skip":
                return [*first, _busy(execution_id, holder)]
            case "wait" | "keep_last":
                return [*first, *replaced, Blocked(execution_id, holder)]
            case _:
                assert_never(busy)

    def holder(self, key: str) -> ExecutionId | None:
        """Who holds the key after what was decided here."""
        return self._holder(key, self._gone)

    def stands_before(self, key: str, before: Sequence[Event]) -> ExecutionId | None:
        """Whom a request would have to wait for: who holds the key after `before`, or is next in line then."""
        gone = self._gone.union(_cancelled(before))
        return self._holder(key, gone) or next((one for one, _ in self._line(key) if one not in gone), None)

    def _holder(self, key: str, gone: set[ExecutionId]) -> ExecutionId | None:
        holder = self._view.holder(key)
        if holder is not None and holder not in gone:
            return holder
        return next((one for one, state in self._lately(key) if type(state) is Waiting and one not in gone), None)

    def _lately(self, key: str) -> Iterator[tuple[ExecutionId, Live]]:
        return ((one, state) for one, state in self._here.items() if one not in self._gone and state.request.exclusive_key == key)

    def _line(self, key: str) -> Iterator[tuple[ExecutionId, Buffered]]:
        for one, state in chain(self._view.in_line(key), self._lately(key)):
            if one not in self._gone and isinstance(state, Buffered) and isinstance(self._here.get(one, state), Buffered):
                yield one, state

    def _due_first(self, key: str) -> list[Event]:
        """Who held the key was cancelled by this decision: the first in line is due before whoever is asked for now."""
        if not self._gone or self.holder(key) is not None:
            return []
        first = next(self._line(key), None)
        if first is None:
            return []
        self._here[first[0]] = Waiting(first[1].request, _NO_TOKEN, self._view.at)
        return [Due(first[0])]

    def _replaced(self, request: Requested, holder: ExecutionId | None) -> tuple[list[Event], ExecutionId | None]:
        """Whoever of the same job waits for the key has old data: it is skipped. So is a holder that has not begun."""
        replaced: list[ExecutionId] = []
        for one, state in self._line(request.exclusive_key or ""):
            if state.request.job_id == request.job_id and len(replaced) < MOST_REPLACED:
                replaced.append(one)
        if holder is not None and self._may_be_replaced(holder, request) and not self._others_wait(request):
            replaced.append(holder)
            holder = None
        self._gone.update(replaced)
        return [Skipped(one, "replaced", None, f"{request.execution_id} came after it") for one in replaced], holder

    def _gives_way(self, holder: ExecutionId) -> bool:
        """It may be paused, for all that is known here, and has not begun."""
        state = self._here.get(holder) or self._view.state_of(holder)
        return isinstance(state, Waiting) and not begun(state) and not state.request.ignore_pause

    def _may_be_replaced(self, holder: ExecutionId, request: Requested) -> bool:
        state = self._here.get(holder) or self._view.state_of(holder)
        return isinstance(state, Waiting) and not begun(state) and state.request.job_id == request.job_id

    def _others_wait(self, request: Requested) -> bool:
        """Another job's execution stands in line: the key would be its next."""
        return any(state.request.job_id != request.job_id for _, state in self._line(request.exclusive_key or ""))


def _cancelled(events: Sequence[Event]) -> Iterator[ExecutionId]:
    return (event.execution_id for event in events if isinstance(event, Cancelled | Skipped))


def _busy(execution_id: ExecutionId, holder: ExecutionId | None) -> Skipped:
    return Skipped(execution_id, "busy", None, f"{holder} held its exclusivity key")
