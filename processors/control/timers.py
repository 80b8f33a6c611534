"""The timers of a partition. What is due is decided, but for the start deadline of what waits: its start may be said in time and stand
unread, behind other commands, so workers are heard out first (docs/decisions/0030)."""

from heapq import heappop, heappush

from ledger.core.execution import Waiting
from ledger.core.ids import ExecutionId, Micros
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft

Timer = tuple[Micros, ExecutionId]


class Timers:
    def __init__(self, fold: Partition) -> None:
        self._fold = fold
        self._unheard: list[Timer] = []  # a heap: due, and not decided before workers are heard until then
        self._decided: list[Timer] = []  # by the draft under way

    def decide(self, draft: PartitionDraft, heard: Micros) -> None:
        """Include what is due, as far as the draft has room. `heard`: up to when all that workers said is decided."""
        timers, self._decided = self._fold.timers, []
        while self._unheard and self._unheard[0][0] <= heard:
            heappush(timers, heappop(self._unheard))
        while timers and timers[0][0] <= draft.at:
            due, execution_id = timers[0]
            if due > heard and isinstance(draft.state_of(execution_id), Waiting):
                heappush(self._unheard, heappop(timers))
            elif draft.include(draft.decide_timer(execution_id)):
                self._decided.append(heappop(timers))
            else:
                return

    def dropped(self) -> None:
        """What the draft under way decided is not known."""
        for timer in self._decided:
            heappush(self._fold.timers, timer)
        self._decided = []

    def committed(self) -> None:
        self._decided = []

    def next_due(self) -> Micros | None:
        return self._fold.timers[0][0] if self._fold.timers else None

    @property
    def listens(self) -> bool:
        """Something is due that waits for what workers said."""
        return bool(self._unheard)
