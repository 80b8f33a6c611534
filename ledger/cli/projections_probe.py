"""`jobledger projections run --probe-port`: what a probe is told of the process that keeps the tables."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from ledger.config import Settings
from processors.probe import probe
from processors.pulse import Pulse
from processors.servers import Servers, look_at, of_kafka
from processors.supervisor import Child
from projections.connecting import address_of
from projections.consumer import Progress

NAME: Final = "projections"


@asynccontextmanager
async def probed(settings: Settings, stop: asyncio.Event, port: int) -> AsyncIterator[Callable[[Progress], None]]:
    """Answers meanwhile; what comes of it takes how far the process is."""
    folding = Folding(settings, stop)
    async with probe(folding, port, folding.look):
        yield folding.hear


class Folding:
    """As a supervisor knows the processes that it keeps; here it is this one. `progress`: None until it follows the log."""

    def __init__(self, settings: Settings, stop: asyncio.Event) -> None:
        self.progress: Progress | None = None
        self.children: Mapping[str, Child] = {NAME: Child(NAME, os.getpid(), time.monotonic(), hears=self)}
        self._settings = settings
        self._stop = stop
        self._kafka = look_at(settings, of_kafka)

    def hear(self, progress: Progress) -> None:
        self.progress = progress

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def last(self, within: float) -> Pulse:
        """However long ago that was: where this event loop stands still, nobody is answered."""
        return Pulse(self.progress is not None, stopped=0 if self.progress is None else len(self.progress.stopped))

    async def look(self) -> Sequence[Servers]:
        """Kafka is asked; Postgres is away where its own work found it so."""
        away = self.progress is not None and self.progress.away is not None
        return [*await self._kafka(), Servers("postgres", 1, (address_of(self._settings),) if away else ())]
