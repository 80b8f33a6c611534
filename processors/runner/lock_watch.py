"""The end of code that runs on when its lock has ended: this process ends, as nothing else ends that code.

A thread of its own. The event loop asks code to stop in time and ends the process if it does not, but cannot while code keeps it busy; and
the thread of the lease waits for Redis, which may be what is missing.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from processors.runner.attempt import Attempt

log = structlog.get_logger(__name__)
LAST_WORD: Final = 0.1  # seconds for the line that says it: who reads the log may be slow
SHORTEST_LOOK: Final = 0.001


class Held(Protocol):
    """A lock. `until`, by the monotonic clock; `let_go`: its code has ended, or never begins."""

    @property
    def until(self) -> float: ...

    @property
    def code_runs(self) -> bool: ...

    @property
    def let_go(self) -> bool: ...


class LockWatch:
    """`held`: read from the thread. `margin`: seconds that the loop has to see to it where the whole process stood still, code and all, for
    longer than that; `look`: between two looks."""

    def __init__(
        self,
        held: Mapping[Attempt, Held],
        margin: float,
        look: float,
        overrun: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._held = held
        self._margin = margin
        self._look = look
        self._overrun = overrun
        self._clock = clock
        self._spared: dict[Attempt, float] = {}  # until when
        self._changing = threading.Lock()
        self._watches = False

    def begin(self) -> None:
        """A lock is held. The thread ends when none is any more."""
        with self._changing:
            if not self._watches:
                self._watches = True
                threading.Thread(target=self._run, name="lock-watch", daemon=True).start()

    def _still_held(self) -> list[tuple[Attempt, Held]]:
        with self._changing:
            held = list(self._held.items())
            self._watches = bool(held)
            return held

    def _run(self) -> None:
        looked = self._clock()
        while held := self._still_held():
            now = self._clock()
            running = [(attempt, lock) for attempt, lock in held if lock.code_runs and not lock.let_go and attempt.outcome is None]
            over = [attempt for attempt, lock in running if lock.until <= now]
            spared = now + self._margin if now - looked > self._margin else now
            self._spared = {attempt: self._spared.get(attempt, spared) for attempt in over}
            if late := [attempt for attempt in over if self._spared[attempt] <= now]:
                self._end(late[0])
                return
            looked = now
            soonest = min((lock.until - now for _, lock in running if lock.until > now), default=self._look)
            time.sleep(max(SHORTEST_LOOK, min(self._look, soonest)))

    def _end(self, attempt: Attempt) -> None:
        saying = threading.Thread(target=_say, args=(attempt,), name="last-word", daemon=True)
        saying.start()
        saying.join(LAST_WORD)
        self._overrun()


def _say(attempt: Attempt) -> None:
    log.error(
        "code goes on and its lock has ended; this process ends, so that it ends",
        action="attempt.overrun",
        job_name=attempt.offer.job_name,
        execution_id=attempt.offer.execution_id,
        attempt=attempt.offer.attempt,
    )
