"""The registry as this process knows it: one fold for all its actors, fed by a plain consumer of the registry's log."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from aiokafka import TopicPartition

from ledger.config import Settings
from ledger.core.definition import Registry
from ledger.core.ids import Address
from ledger.core.registry import RegistryFold, Touched
from ledger.kafka.log_reader import LogReader
from processors.control.log_access import bounds, patiently

Notice = Callable[[Touched], None]


class Facts:
    """Follows the registry. `listeners` hear what a commit touched, after it was folded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = TopicPartition(settings.topic("registry"), 0)
        self._fold = RegistryFold()
        self._moved = asyncio.Condition()
        self.listeners: set[Notice] = set()

    @property
    def registry(self) -> Registry:
        return self._fold.registry

    async def follow(self) -> None:
        """Read for ever; the broker being away is waited out. Raises `ChainBroken`, `Conflict`."""
        await patiently(self._follow)

    async def _follow(self) -> None:
        begin = self._fold.head.next_offset
        async with LogReader(self._settings, "registry", 0) as reader, aclosing(reader.batches(begin)) as batches:
            async for batch in batches:
                for record in batch.records:
                    self._fold.feed(record.value, record.offset)
                await self._tell()

    async def _tell(self) -> None:
        touched, self._fold.touched = self._fold.touched, Touched()
        for listener in self.listeners if touched else ():
            listener(touched)
        async with self._moved:
            self._moved.notify_all()

    async def reach(self, address: Address) -> None:
        """Wait until the registry is folded up to `address`."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.registry.at >= address)

    async def reach_end(self) -> None:
        """Wait until what the registry's log holds now is folded. The broker being away is waited out."""
        _, end = (await bounds(self._settings, [self._topic]))[self._topic]
        async with self._moved:
            await self._moved.wait_for(lambda: self._fold.head.next_offset >= end)
