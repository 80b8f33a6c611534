"""Unique keys: what a submit says of one, and the executions that a partition knows under it. How a submit is judged by them is in
`unique_submits.py`.

The sender makes the key of the fields that have to differ; the partition knows which executions have it, those that are live and, for the
deduplication window, those that ended. Judged per tenant, job and exclusivity key. Source: architecture.md, section 3.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId, Micros

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
