"""Until when a partition has heard its workers out: behind a backlog of commands their silence says nothing (docs/decisions/0030)."""

from typing import Final

from ledger.core.ids import Micros, WorkerId
from ledger.core.partition import Partition
from ledger.core.writer import Writer
from processors.control.edges import Edges

LOOK: Final = 0.05  # seconds between looks whether what is waited to be heard has come
ON_ITS_WAY: Final = 50_000  # microseconds; what was appended as late as this may not have been told of yet
STALLED: Final = 5.0  # seconds at one offset, after which an end that is not reached counts as reached: no record stands before it


class Hearing:
    """`topic`: the whole name of the one of the commands; partition `number` of it is read by `writer`. `now`: monotonic seconds."""

    def __init__(self, edges: Edges, topic: str, number: int, writer: Writer[Partition]) -> None:
        self._edges = edges
        self._topic = topic
        self._number = number
        self._writer = writer
        self._missed: dict[WorkerId, float] = {}  # since when
        self._short: tuple[int, float] | None = None  # of the end, with nothing to decide: at which offset, since when

    def __bool__(self) -> bool:
        """Somebody was missed and is not lost yet."""
        return bool(self._missed)

    def miss(self, worker: WorkerId, now: float) -> None:
        """It did not renew its lease."""
        self._missed.setdefault(worker, now)

    def lost(self, heard: float) -> list[WorkerId]:
        """Those who were missed and whose last reports are decided. `heard`: see `until`."""
        return [worker for worker, since in self._missed.items() if since <= heard]

    def forget(self, worker: WorkerId) -> None:
        del self._missed[worker]

    def until(self, now: float, at: Micros) -> float:
        """Until when, as `now` is reckoned, all that workers said is decided. `at`: the broker's time now."""
        return now - (at - self.decided_until(now, at)) / 1e6

    def decided_until(self, now: float, at: Micros) -> Micros:
        """The same as the broker reckons."""
        writer, end = self._writer, self._edges.end(self._topic, self._number)
        if writer.inbox or (end is not None and writer.next_offset >= end):
            self._short = None
        elif self._short is None or self._short[0] != writer.next_offset:
            self._short = (writer.next_offset, now)
        elif now - self._short[1] >= STALLED:
            end = writer.next_offset
        return writer.decided_until(at, end)
