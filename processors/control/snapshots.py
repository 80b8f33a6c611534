"""Writes snapshots of the folds that live here, and begins from them. How they lie in their topic: `ledger/kafka/snapshots.py`."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Self

import structlog
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.core import registry_snapshot, snapshot
from ledger.core.fold import LogFold
from ledger.core.partition import Partition
from ledger.core.registry import RegistryFold
from ledger.core.sealing import Frozen
from ledger.kafka.opening import LogIdentity
from ledger.kafka.snapshots import SLOTS, PutBack, Slot, put_back_newest, read_slots
from processors.control.appender import Appended, Appender

log = structlog.get_logger(__name__)


class Snapshots:
    """The snapshots of one fold, in the partition `number` of the topic. Whoever writes that log says `consider` after each commit; a
    snapshot is written in the background now and then."""

    def __init__(
        self,
        settings: Settings,
        fold: LogFold,
        number: int,
        freeze: Callable[[], Frozen],
        put_back: PutBack,
        appender: Appender,
    ) -> None:
        self._settings = settings
        self._fold = fold
        self._number = number
        self._freeze = freeze
        self._put_back = put_back
        self._appender = appender
        self._topic = settings.topic("snapshots")
        self._folded = 0  # events, when the last one was written
        self._written_at = time.monotonic()
        self._next_slot = 0
        self._stored = [0] * SLOTS  # chunks that a slot holds, for the tombstones
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    def of_partition(cls, settings: Settings, fold: Partition, appender: Appender) -> Self:
        freeze, put_back = partial(snapshot.FrozenPartition, fold), partial(snapshot.restore, fold)
        return cls(settings, fold, fold.number, freeze, put_back, appender)

    @classmethod
    def of_registry(cls, settings: Settings, fold: RegistryFold, appender: Appender) -> Self:
        freeze, put_back = partial(registry_snapshot.FrozenRegistry, fold), partial(registry_snapshot.restore, fold)
        return cls(settings, fold, settings.partitions, freeze, put_back, appender)

    def consider(self) -> None:
        """Write one if so many events were folded since the last, by this process or before it."""
        events = self._fold.events - self._folded
        limits = self._settings.limits
        overdue = time.monotonic() - self._written_at > limits.snapshot_interval and events > limits.snapshot_events // 20
        if (events >= limits.snapshot_events or overdue) and (self._writing is None or self._writing.done()):
            self._folded, self._written_at = self._fold.events, time.monotonic()
            self._writing = asyncio.create_task(self.write())

    async def write(self) -> None:
        """Write the state as it is now. A failure leaves the slot without a seal and is no harm."""
        frozen = self._freeze()
        slot = self._next_slot
        if not await self._put(slot, "seal", None):
            return
        digests = b""
        count = 0
        for chunk in frozen.chunks():
            if not await self._put(slot, str(count), chunk):
                return
            digests += sha256(chunk).digest()
            count += 1
            await asyncio.sleep(0)
        for left_over in range(count, self._stored[slot]):
            await self._put(slot, str(left_over), None)
        if await self._put(slot, "seal", frozen.final(count, sha256(digests).hexdigest())):
            self._next_slot, self._stored[slot] = (slot + 1) % SLOTS, count
            log.info("snapshot written", action="snapshot.written", log=self._fold.head.log, partition=self._number, chunks=count)

    async def _put(self, slot: int, name: str, value: bytes | None) -> bool:
        key = f"{self._fold.head.log}/{self._number}/{slot}/{name}".encode()
        return isinstance(await self._appender.append(self._topic, self._number, value, key=key), Appended)

    async def restore(self, identity: LogIdentity, end: int | None = None) -> None:
        """Begin from the newest good snapshot of this log, if there is one, that does not go beyond the log's `end`."""
        try:
            slots = await read_slots(self._settings, self._number)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("no snapshot could be read", action="snapshot.unread", partition=self._number, error=repr(error))
            return
        await asyncio.to_thread(self.restore_from, slots, identity, end)  # nobody else touches the fold yet, and the loop owes heartbeats

    def restore_from(self, slots: list[Slot], identity: LogIdentity, end: int | None = None) -> None:
        """What the slots hold."""
        self._stored = [max(slot.chunks, default=-1) + 1 for slot in slots]
        used = put_back_newest(slots, self._number, identity, self._put_back, end)
        if used is not None:
            self._next_slot = (used + 1) % SLOTS
