"""The registry as this process knows it: one fold for all its actors, fed by a plain consumer of the registry's log.

The registry's own writer, where it lives in this process, decides on top of this fold and feeds it too: a hundred thousand jobs are held
and folded once. Whoever of the two comes first folds a commit; it is known by its offset.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

import structlog
from aiokafka import TopicPartition

from ledger.config import Settings
from ledger.core.definition import Registry
from ledger.core.engines import Engines
from ledger.core.ids import Address
from ledger.core.registry import RegistryFold, Touched
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import LogIdentity
from processors.control.appender import Appender
from processors.control.log_access import AT_ONCE, bounds, patiently
from processors.control.snapshots import Snapshots

log = structlog.get_logger(__name__)
Notice = Callable[[Touched], None]
Progress = Callable[[], None]


class Facts:
    """Follows the registry. `listeners` hear what a commit touched, after it was folded. `engines`: of the schedules it names."""

    def __init__(self, settings: Settings, snapshot_appender: Appender) -> None:
        self._settings = settings
        self._topic = TopicPartition(settings.topic("registry"), 0)
        self.fold = RegistryFold()
        self.snapshots = Snapshots.of_registry(settings, self.fold, snapshot_appender)
        self.engines = Engines()
        self._moved = asyncio.Condition()
        self.listeners: set[Notice] = set()

    @property
    def registry(self) -> Registry:
        return self.fold.registry

    async def follow(self, identity: LogIdentity) -> None:
        """Read for ever, from a snapshot on if there is one; the broker being away is waited out. Raises `ChainBroken`, `Conflict`."""
        began = time.monotonic()
        _, end = (await bounds(self._settings, [self._topic]))[self._topic]
        await self.snapshots.restore(identity, end)
        log.info("the registry goes on from here", action="registry.restored", seq=self.fold.head.seq, seconds=_since(began))
        await patiently(self._follow)

    async def _follow(self) -> None:
        begin = self.fold.head.next_offset
        async with LogReader(self._settings, "registry", 0) as reader, aclosing(reader.batches(begin, most=AT_ONCE)) as batches:
            async for batch in batches:
                for record in batch.records:
                    if record.offset >= self.fold.head.next_offset:
                        self.fold.feed(record.value, record.offset)
                await self.tell()
                await asyncio.sleep(0)

    async def tell(self) -> None:
        """The fold moved."""
        touched, self.fold.touched = self.fold.touched, Touched()
        for listener in self.listeners if touched else ():
            listener(touched)
        async with self._moved:
            self._moved.notify_all()

    async def reach(self, address: Address) -> None:
        """Wait until the registry is folded up to `address`."""
        await self._until(lambda: self.registry.at >= address, lambda: None)

    async def reach_end(self, progress: Progress) -> None:
        """Wait until what the registry's log holds now is folded. The broker being away is waited out."""
        _, end = (await bounds(self._settings, [self._topic]))[self._topic]
        await self._until(lambda: self.fold.head.next_offset >= end, progress)

    async def _until(self, reached: Callable[[], bool], progress: Progress) -> None:
        async with self._moved:
            while not reached():
                await self._moved.wait()
                progress()


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
