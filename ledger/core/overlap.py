"""The overlap policies: what becomes of a firing while a former execution of its job is not terminal. Source: scheduling.md, section 6."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, assert_never

from ledger.core import executing, execution
from ledger.core.execution import Active, Buffered, Due, Live
from ledger.core.ids import ExecutionId, Micros
from ledger.core.tick import Overlap

MOST_BUFFERED: Final = 1000
MOST_CANCELLED: Final = 80  # by one firing; a command decides to at most 100 events


class Placed(NamedTuple):
    """A firing has its place: after `events` it starts at once, or waits for `blocked_by`; or it finds none (`refused`)."""

    events: Sequence[execution.Event] = ()
    blocked_by: ExecutionId | None = None
    refused: Literal["overlap", "buffer_full"] | None = None


FREE: Final = Placed()


def place(policy: Overlap, former: dict[ExecutionId, Live], new: ExecutionId, at: Micros) -> Placed:
    """`former`: the executions of the job that are not terminal, the oldest first; those that the events end are taken out of it."""
    oldest = next(iter(former), None)
    if oldest is None:
        return FREE
    match policy:
        case "allow_all":
            return FREE
        case "skip":
            return Placed(blocked_by=oldest, refused="overlap")
        case "buffer_one" | "buffer_all":
            most = 1 if policy == "buffer_one" else MOST_BUFFERED
            full = sum(isinstance(state, Buffered) for state in former.values()) >= most
            return Placed(blocked_by=oldest, refused="buffer_full" if full else None)
        case "cancel_other" | "terminate_other":
            events = _cancelled(policy, former, new, at)
            left = next((one for one, state in former.items() if policy == "cancel_other" or state.request.exclusive_key is not None), None)
            return Placed(events, blocked_by=left)
        case _:
            assert_never(policy)


def _cancelled(
    policy: Literal["cancel_other", "terminate_other"], former: dict[ExecutionId, Live], new: ExecutionId, at: Micros
) -> list[execution.Event]:
    events: list[execution.Event] = []
    for one, state in list(former.items())[:MOST_CANCELLED]:
        events += executing.decide(execution.Cancel(one, policy, new), state, at)
        if not isinstance(state, Active) or (policy == "terminate_other" and state.request.exclusive_key is None):
            del former[one]
    keyed = any(state.request.exclusive_key is not None for state in former.values())
    if policy == "cancel_other" and former and not keyed and all(isinstance(state, Buffered) for state in former.values()):
        events.append(Due(next(iter(former))))  # more were buffered than one firing cancels, and nothing runs that could end
    return events
