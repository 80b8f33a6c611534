"""A watchdog *thread*: it ends the process where a coroutine could not any more.

On a crashed Faust app (which hangs for ever), a stalled event loop, no readiness within a time, or work without progress.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from processors.pulse import Pulse, Tell, tell_nobody

EXIT_STUCK = 71
EVERY = 0.5  # seconds between two looks
OVERSLEPT = 5.0  # between two looks


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds."""

    ready: float = 90.0
    stall: float = 20.0
    progress: float = 120.0


class Watchdog:
    """`stuck_since`: the monotonic time since when there is work and no progress, or None. `crashed`, `ready`: as the names say.
    `stopped`: how many partitions are. `tell` hears at each look how the process is."""

    def __init__(
        self,
        *,
        crashed: Callable[[], bool],
        ready: Callable[[], bool],
        stuck_since: Callable[[], float | None],
        stopped: Callable[[], int] = lambda: 0,
        limits: Limits | None = None,
        tell: Tell = tell_nobody,
    ) -> None:
        self._crashed = crashed
        self._ready = ready
        self._stuck_since = stuck_since
        self._stopped = stopped
        self._limits = limits or Limits()
        self._tell = tell
        self._began = self._beat = self._awake_since = time.monotonic()
        self._was_ready = False
        self._beats = True

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    async def beat(self) -> None:
        """Runs in the watched loop. Faust cancels it when it stops, and the supervisor bounds how long that takes."""
        try:
            while True:
                self._beat = time.monotonic()
                await asyncio.sleep(EVERY)
        finally:
            self._beats = False

    def _watch(self) -> None:
        try:
            _end(self._wait_for_a_verdict())
        except BaseException as error:  # nobody would miss this thread
            _end(f"the watchdog itself failed: {error!r}")

    def _wait_for_a_verdict(self) -> str:
        before = time.monotonic()
        while True:
            time.sleep(EVERY)
            now = time.monotonic()
            if now - before > OVERSLEPT:
                self.overslept(now)
            before = now
            self._tell(self.pulse(now))
            if (why := self.verdict(now)) is not None:
                return why

    def overslept(self, now: float) -> None:
        """The whole process was stopped, or got no turn: what it could not do meanwhile is not held against it."""
        self._awake_since = now

    def pulse(self, now: float) -> Pulse:
        """How the process is."""
        since = self._stuck_since()
        behind = 0.0 if since is None else round(max(0.0, now - since), 1)
        return Pulse(self._ready(), round(max(0.0, now - self._beat), 1), behind, self._stopped())

    def verdict(self, now: float) -> str | None:
        """Why the process has to end now, or None."""
        if self._crashed():
            return "Faust crashed"
        self._was_ready = self._was_ready or self._ready()
        if not self._was_ready and self._lasts(self._began, now) > self._limits.ready:
            return f"not ready within {self._limits.ready:g} s"
        if self._was_ready and self._beats and self._lasts(self._beat, now) > self._limits.stall:
            return f"the event loop did not move for {self._limits.stall:g} s"
        since = self._stuck_since()
        if since is not None and self._lasts(since, now) > self._limits.progress:
            return f"work, but no progress for {self._limits.progress:g} s"
        return None

    def _lasts(self, since: float, now: float) -> float:
        return now - max(since, self._awake_since)


def _end(why: str) -> None:
    print(f"watchdog: {why}; the process ends and its supervisor starts it again", file=sys.stderr, flush=True)  # noqa: T201  # logging may hang
    os._exit(EXIT_STUCK)
