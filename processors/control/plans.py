"""The plans for the ticks of one instant, the next at which something is due: made some at a time, and each taken once. No I/O here."""

from collections.abc import Callable, Sequence
from typing import Final

from ledger.core.ids import Micros
from ledger.core.partition_view import PartitionView
from ledger.core.planned import Planned, plan

PLANNED_AHEAD: Final = 250_000  # microseconds; what was due a second ago has ended by then, mostly
PLANNED_AT_ONCE: Final = 32  # half a millisecond's work


class Plans:
    def __init__(self) -> None:
        self._instant: Micros | None = None
        self._left: list[str] = []  # jobs that are still to be planned
        self._made: dict[str, Planned] = {}

    def __len__(self) -> int:
        return len(self._made)

    def next_at(self, due: Micros) -> Micros | None:
        """When to go on with the ticks that are due then; None: all were looked at."""
        return None if due == self._instant and not self._left else Micros(due - PLANNED_AHEAD)

    def go_on(self, due: Micros, jobs: Sequence[str], then: PartitionView, is_due: Callable[[str], bool]) -> None:
        """Plan some more of the jobs that are due then. `then`: what is known now, at that time."""
        if due != self._instant:
            self._instant, self._left, self._made = due, list(jobs), {}
        for job_id in self._left[-PLANNED_AT_ONCE:]:
            if is_due(job_id) and (planned := plan(then, job_id)) is not None:
                self._made[job_id] = planned
        del self._left[-PLANNED_AT_ONCE:]

    def take(self, job_id: str) -> Planned | None:
        return self._made.pop(job_id, None)
