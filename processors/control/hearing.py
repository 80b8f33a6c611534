"""Until when a partition has heard its workers out: behind a backlog of commands their silence says nothing (docs/decisions/0030)."""

from typing import Final

from ledger.core.ids import Micros, WorkerId
from ledger.core.partition import Partition
from ledger.core.writer import Writer
from processors.control.edges import Edges

LOOK: Final = 0.05  # seconds between looks whether the last reports of somebody who was missed have come
STALLED: Final = 5.0  # seconds without a commit, after which an end that is not reached counts as reached: no record stands before it


class Hearing:
    """`topic`: the whole name of the one of the commands; partition `number` of it is read by `writer`."""

    def __init__(self, edges: Edges, topic: str, number: int, writer: Writer[Partition]) -> None:
        self._edges = edges
        self._topic = topic
        self._number = number
        self._writer = writer
        self._missed: dict[WorkerId, float] = {}  # since when

    def __bool__(self) -> bool:
        """Somebody was missed and is not lost yet."""
        return bool(self._missed)

    def miss(self, worker: WorkerId, now: float) -> None:
        """It did not renew its lease. `now`, here as below: monotonic seconds."""
        self._missed.setdefault(worker, now)

    def lost(self, heard: float) -> list[WorkerId]:
        """Those who were missed and whose last reports are decided. `heard`: see `until`."""
        return [worker for worker, since in self._missed.items() if since <= heard]

    def forget(self, worker: WorkerId) -> None:
        del self._missed[worker]

    def until(self, now: float, at: Micros, committed_at: float) -> float:
        """Until when, as `now` is reckoned, all that workers said is decided. `at`: the broker's time now; `committed_at`: of the last
        commit."""
        end = self._edges.end(self._topic, self._number) if now - committed_at < STALLED else None
        return now - (at - self._writer.decided_until(at, end)) / 1e6
