"""The locks that this worker holds: taken before a start is told, renewed in the lease's thread, let go when the code has ended.

What can no longer be counted on is told in time: before the lock ends where it cannot be renewed, at once where another grant stands in it.
That goes by way of the event loop; where the code itself keeps it busy, `LockWatch` has the last word.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.core.ids import WorkerId
from processors.runner.attempt import Attempt
from processors.runner.leaving import Leaving
from processors.runner.lock_watch import LockWatch
from processors.runner.locks import Locks, Renewals, Verdict

MARGIN: Final = 1 / 4  # of a lease: so long before its lock ends code is asked to stop
YOUNG: Final = 1 / 6  # of a lease: a lock that was taken so lately is not renewed yet; short jobs never are
LOOKS: Final = 16  # in a lease

Unguarded = Callable[[Attempt, str], None]  # and why


@dataclass(slots=True, eq=False)
class Guard:
    """A lock that is held. `until`, by the monotonic clock; written by the thread that renews."""

    key: str
    value: str
    attempt: Attempt
    taken: float
    until: float
    clock: Callable[[], float]
    code_runs: bool = False
    let_go: bool = False
    told: bool = False

    def holds(self) -> bool:
        return not self.told and self.until > self.clock()


class Guards:
    """`lock_key`: makes the name of the lock of an exclusivity key. `unguarded` is called in the event loop, once for an attempt;
    `overrun` in a thread, when code goes on and its lock has ended."""

    def __init__(
        self,
        locks: Locks,
        renewals: Renewals,
        worker: WorkerId,
        lock_key: Callable[[str], str],
        lease: float,
        unguarded: Unguarded,
        overrun: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._locks = locks
        self._renewals = renewals
        self._worker = worker
        self._lock_key = lock_key
        self._lease = lease
        self._unguarded = unguarded
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._held: dict[Attempt, Guard] = {}
        self._watch = LockWatch(self._held, lease * MARGIN, lease / LOOKS, overrun, clock)
        self._leaving = Leaving(locks.let_go)
        self._look: asyncio.TimerHandle | None = None

    async def take(self, attempts: Sequence[Attempt]) -> list[Verdict]:
        """One round trip for all."""
        wanted = [self._named(attempt) for attempt in attempts]
        now = self._clock()
        verdicts, until = await self._locks.take(wanted)
        for attempt, (key, value), verdict in zip(attempts, wanted, verdicts, strict=True):
            if verdict == "held":
                attempt.guard = self._held[attempt] = Guard(key, value, attempt, now, until, self._clock)
        if self._held:
            self._watch.begin()  # it ends when it sees that nothing is held, which is not when the loop looks
            if self._look is None:
                self._look_later()
        return verdicts

    def _named(self, attempt: Attempt) -> tuple[str, str]:
        offer = attempt.offer
        return self._lock_key(offer.exclusive_key or ""), f"{offer.token} {self._worker}"

    def is_good(self, attempt: Attempt) -> bool:
        """It can be counted on for a while."""
        guard = self._held.get(attempt)
        return guard is not None and not guard.told and guard.until - self._clock() > self._lease * MARGIN

    def let_go(self, attempt: Attempt) -> None:
        """Its code has ended, or never begins. What ends at the same moment is let go together."""
        guard = self._held.pop(attempt, None)
        if guard is None:
            return
        attempt.guard = None  # it refers back
        guard.let_go = True  # said before it is done: see `renew`
        self._leaving.add([(guard.key, guard.value)])

    def leave(self, attempt: Attempt) -> None:
        """What may have been written without our knowing; it is not held."""
        self._leaving.add([self._named(attempt)])

    async def flush(self) -> None:
        """Until everything is let go."""
        await self._leaving.flush()

    # Renewed, in the lease's thread

    def renew(self) -> bool:
        """Renew what is not young. False: not all were."""
        now = self._clock()
        due = [guard for guard in list(self._held.values()) if now - guard.taken >= self._lease * YOUNG]
        lapsed = [guard for guard in due if guard.until <= now]  # this process stood still: the key may be another's, and have been
        due = [guard for guard in due if guard.until > now]
        self._tell_soon(lapsed, "it could not renew its lock in time")
        if not due:
            return not lapsed
        verdicts, until = self._renewals.renew([(guard.key, guard.value) for guard in due])
        pairs = list(zip(due, verdicts, strict=True))
        for guard, verdict in pairs:
            if verdict == "held":
                guard.until = until
        self._tell_soon((guard for guard, verdict in pairs if verdict == "busy"), "another grant stands in its lock")
        # let go while it was renewed: it may have been written once more after that
        if late := [(guard.key, guard.value) for guard in due if guard.let_go]:
            self._renewals.let_go_again(late)
        return all(verdict == "held" for verdict in verdicts)

    def _tell_soon(self, guards: Iterable[Guard], why: str) -> None:
        for guard in guards:
            self._loop.call_soon_threadsafe(self._tell, guard, why)

    def _tell(self, guard: Guard, why: str) -> None:
        if not guard.told and not guard.let_go:
            guard.told = True
            self._unguarded(guard.attempt, why)

    def _look_later(self) -> None:
        self._look = self._loop.call_later(self._lease / LOOKS, self._look_round)

    def _look_round(self) -> None:
        """Who cannot be guarded for much longer."""
        self._look = None
        soon = self._clock() + self._lease * MARGIN
        for guard in [guard for guard in self._held.values() if guard.until <= soon]:
            self._tell(guard, "its lock could not be renewed")
        if self._held:
            self._look_later()
