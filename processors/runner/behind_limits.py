"""Who waits in this worker behind a limit over all workers that is reached. Such a line is closed for a time, then a few of it are tried.

Asked ever more rarely while nobody gets through, at once when one of this worker's own has ended. Whoever waits too long goes back to
control, as from every line of the gate.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ledger.core.limits import Limit
from processors.runner.attempt import Attempt
from processors.runner.line import Line

PATIENCE: Final = 1.0  # seconds that an offer waits behind a limit
FIRST_PAUSE: Final = 0.02  # seconds until it is tried again; doubles
LAST_PAUSE: Final = 0.1
MOST_TRIED: Final = 256  # at once


@dataclass(slots=True, kw_only=True)
class LimitLine(Line):
    limit: Limit
    patience: float = PATIENCE
    closed: bool = False
    opens_at: float = 0.0  # by the runner's clock; matters while it is closed for a rate
    pause: float = FIRST_PAUSE
    width: int = 4  # how many are tried when it opens

    def join(self, attempt: Attempt) -> None:
        attempt.limited_by = self.limit
        self.waiting.append(attempt)

    def widen(self) -> int:
        """How many are tried now; twice as many the next time, unless some are refused."""
        tried, self.width = self.width, min(MOST_TRIED, 2 * self.width)
        return tried


@dataclass(slots=True)
class BehindLimits:
    lines: dict[Limit, LimitLine] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lines)

    def line_for(self, attempt: Attempt) -> LimitLine | None:
        """Where a new one has to queue: behind those that wait already, or for a closed line to open."""
        for limit in attempt.limits:
            line = self.lines.get(limit)
            if line is not None and (line.closed or line.waiting):
                return line
        return None

    def closed_for(self, attempt: Attempt) -> LimitLine | None:
        """What stops one that stands first in a line: another of its limits."""
        return next((line for limit in attempt.limits if (line := self.lines.get(limit)) is not None and line.closed), None)

    def open_lines(self) -> Iterator[LimitLine]:
        for limit, line in list(self.lines.items()):
            if line.waiting and not line.closed:
                self.lines[limit] = self.lines.pop(limit)  # the others come first the next time
                yield line

    def refused(self, attempts: Iterable[tuple[Attempt, Limit]]) -> None:
        """Back to the front, in their order."""
        for attempt, limit in reversed(list(attempts)):
            line = self.lines.setdefault(limit, LimitLine(limit=limit))
            attempt.limited_by = limit
            line.waiting.appendleft(attempt)
            line.admitted = max(0, line.admitted - 1)
            line.width = max(1, line.width // 2)

    def close(self, limit: Limit, wait: float | None, now: float) -> float:
        """Seconds until it has to be opened. `wait`: as Redis told; None: nobody knows."""
        line = self.lines[limit]
        if wait is None:
            wait = line.pause
            line.pause = min(LAST_PAUSE, 2 * line.pause)
        line.closed, line.opens_at = True, now + wait
        return wait

    def open(self, limits: Iterable[Limit], *, freed: bool = False) -> bool:
        """`freed`: a place of this worker is free. True: somebody waits there."""
        opened = False
        for limit in limits:
            line = self.lines.get(limit)
            if line is not None and not (freed and limit.concurrency is None):
                line.closed = False
                line.pause = FIRST_PAUSE if freed else line.pause
                opened = opened or bool(line.waiting)
        return opened

    def overdue(self, now: float, since: float) -> list[Attempt]:
        return [attempt for line in self.lines.values() for attempt in line.overdue(now, since)]

    def turn_page(self) -> None:
        for limit, line in list(self.lines.items()):
            line.turn_page()
            if not line.waiting and not line.closed and not line.admitted_before:
                del self.lines[limit]

    def clear(self) -> list[Attempt]:
        leaving = [attempt for line in self.lines.values() for attempt in line.waiting]
        for line in self.lines.values():
            line.waiting = deque()
        return leaving
