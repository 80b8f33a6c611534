"""Snapshots of a partition's fold in a compacted topic: two slots in turn, so that compaction never eats the last good one.

Keys are (log, partition, slot, chunk); the final record of a slot is keyed `seal`. Source: architecture.md, section 5.9.
"""

import asyncio
import time
from hashlib import sha256

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from ledger.config import Settings
from ledger.core import snapshot
from ledger.core.partition import Partition
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
    """The snapshots of one partition; `after` is told of each commit and writes one in the background now and then."""

    def __init__(self, settings: Settings, partition: Partition, appender: Appender) -> None:
        self._settings = settings
        self._partition = partition
        self._appender = appender
        self._topic = settings.topic("snapshots")
        self._events = 0
        self._written_at = time.monotonic()
        self._next_slot = 0
        self._stored = [0] * SLOTS  # chunks that a slot holds, for the tombstones
        self._writing: asyncio.Task[None] | None = None

    def after(self, events: int) -> None:
        """`events` more were folded."""
        self._events += events
        limits = self._settings.limits
        overdue = time.monotonic() - self._written_at > limits.snapshot_interval and self._events > limits.snapshot_events // 20
        if (self._events >= limits.snapshot_events or overdue) and (self._writing is None or self._writing.done()):
            self._events, self._written_at = 0, time.monotonic()
            self._writing = asyncio.create_task(self.write())

    async def write(self) -> None:
        """Write the state as it is now. A failure leaves the slot without a seal and is no harm."""
        frozen = snapshot.Frozen(self._partition)
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
            log.info("snapshot written", action="snapshot.written", partition=self._partition.number, chunks=count)

    async def _put(self, slot: int, name: str, value: bytes | None) -> bool:
        key = f"events/{self._partition.number}/{slot}/{name}".encode()
        return isinstance(await self._appender.append(self._topic, self._partition.number, value, key=key), Appended)

    async def restore(self, identity: LogIdentity) -> None:
        """Begin from the newest good snapshot of this log, if there is one."""
        try:
            slots = await self._read()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("no snapshot could be read", action="snapshot.unread", partition=self._partition.number, error=repr(error))
            return
        self.restore_from(slots, identity)

    def restore_from(self, slots: list[Slot], identity: LogIdentity) -> None:
        """What the slots hold."""
        seals = [(snapshot.read_final(slot.seal) if slot.seal else None, number) for number, slot in enumerate(slots)]
        sealed = sorted(((seal, number) for seal, number in seals if seal is not None), key=lambda one: one[0].head.seq, reverse=True)
        self._stored = [max(slot.chunks, default=-1) + 1 for slot in slots]
        for seal, number in sealed:
            if self._is_foreign(seal, identity):
                continue
            if snapshot.restore(self._partition, seal, slots[number].chunks):
                self._next_slot = (number + 1) % SLOTS
                return
            log.warning("snapshot does not fit", action="snapshot.ignored", partition=self._partition.number, slot=number)

    def _is_foreign(self, seal: snapshot.Seal, identity: LogIdentity) -> bool:
        """The topic of snapshots outlived a log, or belongs to another cluster: its state is not this log's, whatever its digest says."""
        if (seal.log_id, seal.partitions, seal.epoch) == (identity.log_id, identity.partitions, identity.epoch):
            return False
        log.error(
            "a snapshot is of another log and is not used; the log is folded from its first commit",
            action="snapshot.foreign",
            partition=self._partition.number,
            found=f"log {seal.log_id} ({seal.partitions} partitions, epoch {seal.epoch})",
            expected=f"log {identity.log_id} ({identity.partitions} partitions, epoch {identity.epoch})",
        )
        return True

    async def _read(self) -> list[Slot]:
        partition = TopicPartition(self._topic, self._partition.number)
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
