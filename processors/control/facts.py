"""The registry as this process knows it: one fold for all its actors, fed by a plain consumer of the registry's log."""

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.core.definition import Registry
from ledger.core.ids import Address
from ledger.core.registry import RegistryFold, Touched
from ledger.kafka.connect import new_consumer
from processors.control.log_access import bounds

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
        """Read for ever; the broker being away is waited out."""
        while True:
            consumer = new_consumer(self._settings.kafka.bootstrap)
            try:
                await consumer.start()
                consumer.assign([self._topic])
                consumer.seek(self._topic, self._fold.head.next_offset)
                while True:
                    await self._take(consumer)
            except (KafkaError, OSError):
                await asyncio.sleep(0.5)
            finally:
                await consumer.stop()

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        for records in (await consumer.getmany(self._topic, timeout_ms=500)).values():
            for record in records:
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
