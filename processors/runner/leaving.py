"""What a worker lets go of in Redis: what comes at the same moment goes together, in one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Leaving(Generic[T]):
    """`let_go` does not raise: what it cannot let go of runs out by itself. Made inside a running event loop."""

    def __init__(self, let_go: Callable[[list[T]], Awaitable[None]]) -> None:
        self._let_go = let_go
        self._loop = asyncio.get_running_loop()
        self._waiting: list[T] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, some: Iterable[T]) -> None:
        self._waiting += some
        if self._task is None:
            self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting, []
            await self._let_go(some)
        self._task = None

    async def flush(self) -> None:
        """Until everything is let go."""
        if self._task is not None:
            await self._task
