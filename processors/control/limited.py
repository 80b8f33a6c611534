"""What waits because a limit over all workers is reached. The limits themselves are enforced by the workers; control learns of them by what
they give back, and offers so many under each as get through: a window for each limit, like that of a queue.

What a limit holds up waits here and not in the backlog, in the same order (priority, tenants in turn), so that others of its queue pass
by. Volatile: a new owner learns anew. No I/O here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ledger.core.backlog import Backlog, Entry
from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId

FIRST_WINDOW: Final = 8  # offers under a limit that is told for the first time
FIRST_PAUSE: Final = 0.25  # seconds until some are offered again; doubles while none gets through
LONGEST_PAUSE: Final = 2.0
LONGEST_WAIT: Final = 10.0  # so long at most a worker's word of a rate is believed: it may be another one by then
FORGOTTEN: Final = 60.0  # seconds after which a limit that nothing waits for is one that is not reached
SHRINKS: Final = 0.1


@dataclass(slots=True)
class Reached:
    """A limit that a worker told of."""

    size: int = FIRST_WINDOW
    outstanding: int = 0
    pause: float = FIRST_PAUSE
    paused_until: float = 0.0
    by_time: bool = False  # a rate: when somebody ends does not matter
    told_at: float = 0.0
    shrunk_at: float = -1.0
    waiting: Backlog = field(default_factory=Backlog)

    def told(self, wait: float, now: float) -> None:
        """Of several that come back together the first counts, and the longest wait."""
        self.by_time, self.told_at = wait > 0, now
        if now - self.shrunk_at > SHRINKS:
            self.size, self.shrunk_at = max(1, self.size // 2), now
            self.paused_until = now + self.pause
            self.pause = min(LONGEST_PAUSE, 2 * self.pause)
        self.paused_until = max(self.paused_until, now + min(wait, LONGEST_WAIT))

    def has_room(self, now: float) -> bool:
        return self.outstanding < self.size and self.paused_until <= now


@dataclass(slots=True)
class Limited:
    """`most`: offers under a limit, at most. Limits are named as `ledger.core.limits` does: `queue:mail`, `job:greet`, `tenant:acme`."""

    most: int
    limits: dict[str, Reached] = field(default_factory=dict)
    _offered: dict[ExecutionId, list[Reached]] = field(default_factory=dict)
    _running: dict[ExecutionId, list[Reached]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.limits or self._offered or self._running)

    def returned(self, entry: Entry, request: Requested, limit: str, wait: float, now: float) -> None:
        """A worker gave it back because of this limit."""
        reached = self.limits.get(limit)
        if reached is None:
            reached = self.limits[limit] = Reached(min(FIRST_WINDOW, self.most))
        reached.told(wait, now)
        reached.waiting.add(request.queue, request.priority, request.tenant, entry, first=True)

    def passes(self, entry: Entry, request: Requested, now: float) -> bool:
        """It may be offered, and counts as offered from now on. Else it waits here."""
        bound = self._of(request)
        for reached in bound:
            if not reached.has_room(now):
                reached.waiting.add(request.queue, request.priority, request.tenant, entry)
                return False
        if bound:
            self._offered[entry[0]] = bound
            for reached in bound:
                reached.outstanding += 1
        return True

    def _of(self, request: Requested) -> list[Reached]:
        names = (f"queue:{request.queue}", f"job:{request.job_name}", f"tenant:{request.tenant}")
        return [reached for name in names if (reached := self.limits.get(name)) is not None]

    def due(self, queue: str, most: int, now: float, still: Callable[[Entry], bool]) -> Iterator[Entry]:
        """Entries of the queue whose turn it is under the limit that held them up, up to `most`; each has to be asked about by `passes`."""
        for reached in list(self.limits.values()):
            room = min(most, reached.size - reached.outstanding) if reached.paused_until <= now else 0
            taken = reached.waiting.take(queue, room, still) if room > 0 else []
            most -= len(taken)
            yield from taken

    def settled(self, execution_id: ExecutionId, *, started: bool) -> None:
        """It is not offered any more. If it started, more may get through."""
        bound = self._offered.pop(execution_id, None)
        if bound is None:
            return
        for reached in bound:
            reached.outstanding -= 1
            if started:
                reached.size = min(self.most, reached.size + 1)
                reached.pause = FIRST_PAUSE
        if started:
            self._running[execution_id] = bound

    def ended(self, execution_id: ExecutionId) -> None:
        """Its attempt has ended: there may be room again."""
        for reached in self._running.pop(execution_id, ()):
            if not reached.by_time:
                reached.paused_until = 0.0

    def folded_again(self, is_running: Callable[[ExecutionId], bool]) -> None:
        """What ended may have done so unseen."""
        for execution_id in [one for one in self._running if not is_running(one)]:
            self.ended(execution_id)

    def opens_in(self, now: float) -> float | None:
        """Seconds until something that waits here may be offered by itself; None: nothing does."""
        waits = [reached.paused_until for reached in self.limits.values() if reached.paused_until > 0 and any(_lanes(reached))]
        return max(0.0, min(waits) - now) if waits else None

    def open(self, now: float) -> bool:
        """End the pauses that are over, and forget what is not reached any more. True: something may be offered."""
        opened = False
        for name, reached in list(self.limits.items()):
            if 0 < reached.paused_until <= now:
                reached.paused_until = 0.0
                opened = True
            if now - reached.told_at > FORGOTTEN and not any(_lanes(reached)):
                del self.limits[name]
        return opened


def _lanes(reached: Reached) -> Iterator[bool]:
    return (bool(lane.turns) for lanes in reached.waiting.queues.values() for lane in lanes.values())
