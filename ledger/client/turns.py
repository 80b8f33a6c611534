"""Who may send next: so many commands of a client are under way at a time, and so many bytes; the others wait for their turn, in order."""

import asyncio
from collections import deque
from typing import Final

MOST: Final = 20_000  # commands
MOST_BYTES: Final = 32 * 1024 * 1024


class Turns:
    """Without it a burst fills the producer's buffer, and whoever finds no room there for some seconds believes that the broker is gone.

    Once all is taken, nobody gets a turn before half of it is free: commands that went out one by one, as answers come, would reach control
    in small portions, and cost it half as much again.
    """

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._free = self._all = most
        self._free_bytes = self._all_bytes = most_bytes
        self._is_full = False
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Returns when its turn has come. Whoever has it gives it back."""
        size = min(size, self._all_bytes)
        if self._waiting or not self._has_room(size):
            await self._wait(size)
        else:
            self._take(size)

    def give_back(self, size: int) -> None:
        self._free += 1
        self._free_bytes += min(size, self._all_bytes)
        self._next()

    async def _wait(self, size: int) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                self._next()  # maybe it was this one that stood before the others
            else:
                self.give_back(size)  # its turn had come at the same moment
            raise

    def _has_room(self, size: int) -> bool:
        if self._free == 0 or self._free_bytes < size:
            self._is_full = True
        elif 2 * self._free >= self._all and 2 * self._free_bytes >= self._all_bytes:
            self._is_full = False
        return not self._is_full

    def _take(self, size: int) -> None:
        self._free -= 1
        self._free_bytes -= size

    def _next(self) -> None:
        while self._waiting and (self._waiting[0][1].cancelled() or self._has_room(self._waiting[0][0])):
            size, future = self._waiting.popleft()
            if not future.cancelled():
                self._take(size)
                future.set_result(None)
