"""Unique submits: what is asked for is compared with what was asked for before under the same unique key.

The sender makes the key of the fields that have to differ; the partition knows which executions have it, those that are live and, for the
deduplication window, those that ended. Judged per tenant, job and exclusivity key. Source: architecture.md, section 3.
"""

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal, assert_never

from msgspec import Struct

from ledger.core.execution import MOST_REPLACED, Active, Buffered, Delayed, Ended, Requested, Skipped, State, Waiting, begun
from ledger.core.ids import ExecutionId, Micros
from ledger.core.refusal import Refused

if TYPE_CHECKING:
    from ledger.core.partition_view import PartitionView

UniqueState = Literal["delayed", "waiting", "active", "completed", "failed", "timed_out", "lost", "missed", "skipped", "cancelled"]
OnConflict = Literal["ignore", "replace", "reject"]
LIVE: Final[tuple[UniqueState, ...]] = ("delayed", "waiting", "active")


class Unique(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """There shall be no other execution with this key in one of these states. `key`: 1 to 200 characters of a name."""

    key: str
    states: tuple[UniqueState, ...] = LIVE
    on_conflict: OnConflict = "ignore"


class Uniques:
    """Of each unique key its executions: None for one that is live, else the state in which it ended."""

    def __init__(self) -> None:
        self.by_key: dict[str, dict[ExecutionId, str | None]] = {}
        self.ended: deque[tuple[Micros, str, ExecutionId]] = deque()

    def ask(self, key: str, execution_id: ExecutionId) -> None:
        self.by_key.setdefault(key, {})[execution_id] = None

    def end(self, key: str, execution_id: ExecutionId, state: str, at: Micros) -> None:
        self.by_key.setdefault(key, {})[execution_id] = state
        self.ended.append((at, key, execution_id))

    def remembered(self) -> Iterator[tuple[Micros, str, ExecutionId, str | None]]:
        """What ended: when, its key, and how; None where it lives again."""
        return ((at, key, one, self.by_key.get(key, {}).get(one)) for at, key, one in self.ended)

    def settle(self, horizon: int, most: int) -> None:
        """Forget what ended before `horizon`, and the oldest beyond `most`."""
        while self.ended and (self.ended[0][0] < horizon or len(self.ended) > most):
            _, key, execution_id = self.ended.popleft()
            alike = self.by_key.get(key, {})
            if alike.get(execution_id) is None:
                continue  # a command that came again after it was forgotten asked for it once more: it is live, or gone with its first end
            del alike[execution_id]
            if not alike:
                del self.by_key[key]


def unique_name(tenant: str | None, job_id: str, exclusive_key: str | None, key: str) -> str:
    """What a unique key is compared among: tenant, job and exclusivity key."""
    return "\0".join((tenant or "", job_id, exclusive_key or "", key))


def name_of(request: Requested) -> str:
    """The same of an execution that has a unique key."""
    return unique_name(request.tenant, request.job_id, request.exclusive_key, request.unique_key or "")


def routing_name(tenant: str | None, job_id: str, key: str) -> str:
    """What decides the partition of a unique submit that has no exclusivity key."""
    return f"unique:{tenant or ''}:{job_id}:{key}"


def conflicts(view: "PartitionView", name: str, unique: Unique) -> Iterator[tuple[ExecutionId, State, UniqueState]]:
    """Who stands in the way, the oldest first."""
    for execution_id, ended in sorted(view.alike(name).items()):  # ids begin with their time
        state = view.state_of(execution_id)
        if state is not None and (now := _called(state, ended)) in unique.states:
            yield execution_id, state, now


def _called(state: State, ended: str | None) -> object:
    match state:
        case Delayed():
            return "delayed"
        case Waiting() | Buffered():
            return "waiting"
        case Active():
            return "active"
        case Ended():
            return ended
        case _:
            assert_never(state)


def replaced(view: "PartitionView", name: str, unique: Unique, by: ExecutionId) -> list[Skipped]:
    """What a submit that replaces does away with. Raises `Refused` where that has begun, or has ended."""
    found = list(conflicts(view, name, unique))
    for execution_id, state, now in found:
        if isinstance(state, Active | Ended) or (isinstance(state, Waiting | Delayed) and begun(state)):
            raise not_unique(execution_id, f"{now}, so it cannot be replaced any more")
    return [Skipped(execution_id, "replaced", None, f"{by} came after it") for execution_id, _, _ in found[:MOST_REPLACED]]


def not_unique(execution_id: ExecutionId, how: str) -> Refused:
    return Refused("not_unique", f"{execution_id} has the same unique key and is {how}")
