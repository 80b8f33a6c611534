"""News of executions that somebody follows: a bounded queue each, filled by the ear."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from ledger.core.execution import TERMINAL
from ledger.core.outcome import Answer

MOST_FOLLOWED: Final = 100_000
MOST_UNREAD: Final = 100  # the oldest is forgotten first; progress that nobody reads is worth nothing


@dataclass(slots=True)
class News:
    _unread: deque[Answer] = field(default_factory=lambda: deque(maxlen=MOST_UNREAD))
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, answer: Answer) -> None:
        self._unread.append(answer)
        self._came.set()

    async def next(self, seconds: float) -> Answer | None:
        """The oldest unread, or None if none comes in that time."""
        if not self._unread:
            self._came.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._came.wait()
            except TimeoutError:
                return None
        return self._unread.popleft()


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
