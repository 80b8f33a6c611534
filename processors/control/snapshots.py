"""Snapshots of folds in a compacted topic: two slots in turn, so that compaction never eats the last good one.

Keys are (log, partition, slot, chunk); the final record of a slot is keyed `seal`. Source: architecture.md, section 5.9.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from ledger.config import Settings
from ledger.core import registry_snapshot, snapshot
from ledger.core.fold import LogFold
from ledger.core.partition import Partition
from ledger.core.registry import RegistryFold
from ledger.core.sealing import Frozen, Seal, read_final
from ledger.kafka.connect import new_consumer
from ledger.kafka.opening import LogIdentity
from processors.control.appender import Appended, Appender

log = structlog.get_logger(__name__)
SLOTS = 2


class Slot(Struct):
    """What the topic holds of a slot."""

    seal: bytes | None = None
    chunks: dict[int, bytes] = {}


class Snapshots:
    """The snapshots of one fold, in the partition `number` of the topic. Whoever writes that log says `consider` after each commit; a
    snapshot is written in the background now and then."""

    def __init__(
        self,
        settings: Settings,
        fold: LogFold,
        number: int,
        freeze: Callable[[], Frozen],
        put_back: Callable[[Seal, Mapping[int, bytes]], bool],
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
            slots = await self._read()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("no snapshot could be read", action="snapshot.unread", partition=self._number, error=repr(error))
            return
        await asyncio.to_thread(self.restore_from, slots, identity, end)  # nobody else touches the fold yet, and the loop owes heartbeats

    def restore_from(self, slots: list[Slot], identity: LogIdentity, end: int | None = None) -> None:
        """What the slots hold."""
        seals = [(read_final(slot.seal) if slot.seal else None, number) for number, slot in enumerate(slots)]
        sealed = sorted(((seal, number) for seal, number in seals if seal is not None), key=lambda one: one[0].head.seq, reverse=True)
        self._stored = [max(slot.chunks, default=-1) + 1 for slot in slots]
        for seal, number in sealed:
            if self._is_foreign(seal, identity):
                continue
            if end is not None and seal.head.next_offset > end:
                log.error("a snapshot is of commits that the log has lost", action="snapshot.ahead", partition=self._number, end=end)
                continue
            if self._put_back(seal, slots[number].chunks):
                self._next_slot = (number + 1) % SLOTS
                return
            log.warning("snapshot does not fit", action="snapshot.ignored", partition=self._number, slot=number)

    def _is_foreign(self, seal: Seal, identity: LogIdentity) -> bool:
        """The topic of snapshots outlived a log, or belongs to another cluster: its state is not this log's, whatever its digest says."""
        if (seal.log_id, seal.partitions, seal.epoch) == (identity.log_id, identity.partitions, identity.epoch):
            return False
        log.error(
            "a snapshot is of another log and is not used; the log is folded from its first commit",
            action="snapshot.foreign",
            partition=self._number,
            found=f"log {seal.log_id} ({seal.partitions} partitions, epoch {seal.epoch})",
            expected=f"log {identity.log_id} ({identity.partitions} partitions, epoch {identity.epoch})",
        )
        return True

    async def _read(self) -> list[Slot]:
        partition = TopicPartition(self._topic, self._number)
        slots = [Slot(chunks={}) for _ in range(SLOTS)]
        consumer = new_consumer(self._settings.kafka.bootstrap)
        try:
            await consumer.start()
            consumer.assign([partition])
            start = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.seek(partition, start)
            while await consumer.position(partition) < end:
                await self._take(consumer, partition, slots)
        finally:
            await consumer.stop()
        return slots

    async def _take(self, consumer: AIOKafkaConsumer, partition: TopicPartition, slots: list[Slot]) -> None:
        for record in (await consumer.getmany(partition, timeout_ms=2000)).get(partition, ()):
            _, _, number, name = (record.key or b"///").decode(errors="replace").split("/")[:4]
            if not number.isdecimal() or int(number) >= SLOTS:
                continue
            slot = slots[int(number)]
            if name == "seal":
                slot.seal = record.value
            elif name.isdecimal():
                if record.value is None:
                    slot.chunks.pop(int(name), None)
                else:
                    slot.chunks[int(name)] = record.value
