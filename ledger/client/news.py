"""News of executions that somebody follows: the last of each, told by the ear, and read by as many as like, each from the first on."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from ledger.core.execution import TERMINAL
from ledger.core.outcome import Answer

MOST_FOLLOWED: Final = 100_000
MOST_KEPT: Final = 100  # the oldest is forgotten first; progress that nobody reads is worth nothing


@dataclass(slots=True)
class News:
    kept: deque[Answer] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    told: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, answer: Answer) -> None:
        self.kept.append(answer)
        self.told += 1
        self.came.set()

    def reader(self) -> "Reader":
        return Reader(self)


@dataclass(slots=True)
class Reader:
    """One of those who read the same news."""

    _news: News
    _read: int = 0

    async def next(self, seconds: float) -> Answer | None:
        """The oldest unread that is kept, or None if none comes in that time."""
        news = self._news
        if self._read == news.told:
            news.came.clear()
            try:
                async with asyncio.timeout(seconds):
                    await news.came.wait()
            except TimeoutError:
                return None
        unread = min(news.told - self._read, len(news.kept))
        self._read = news.told - unread + 1
        return news.kept[-unread]


class Newsroom:
    def __init__(self) -> None:
        self._followed: OrderedDict[str, News] = OrderedDict()

    def open(self, execution_id: str) -> News:
        news = self._followed.get(execution_id)
        if news is None:
            news = self._followed[execution_id] = News()
            if len(self._followed) > MOST_FOLLOWED:
                self._followed.popitem(last=False)
        return news

    def tell(self, answer: Answer) -> None:
        if answer.execution_id is None or (news := self._followed.get(answer.execution_id)) is None:
            return
        news.tell(answer)
        if answer.state in TERMINAL:
            del self._followed[answer.execution_id]  # there will be no more; who reads it has it
