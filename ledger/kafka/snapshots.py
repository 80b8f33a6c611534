"""Reads snapshots of folds from their compacted topic: two slots in turn, so that compaction never eats the last good one.

Keys are (log, partition, slot, chunk); the final record of a slot is keyed `seal`. Source: architecture.md, section 5.9.
"""

from collections.abc import Callable, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from ledger.config import Settings
from ledger.core.sealing import Seal, read_final
from ledger.kafka.connect import new_consumer, running
from ledger.kafka.opening import LogIdentity

log = structlog.get_logger(__name__)
SLOTS = 2
PutBack = Callable[[Seal, Mapping[int, bytes]], bool]  # False, and nothing changed, if the state does not fit


class Slot(Struct):
    """What the topic holds of a slot."""

    seal: bytes | None = None
    chunks: dict[int, bytes] = {}


async def read_slots(settings: Settings, number: int) -> list[Slot]:
    """Those in a partition of the topic. Raises what aiokafka raises."""
    partition = TopicPartition(settings.topic("snapshots"), number)
    slots = [Slot(chunks={}) for _ in range(SLOTS)]
    consumer = new_consumer(settings.kafka.bootstrap)
    async with running(consumer):
        consumer.assign([partition])
        start = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, start)
        while await consumer.position(partition) < end:
            await _take(consumer, partition, slots)
    return slots


async def _take(consumer: AIOKafkaConsumer, partition: TopicPartition, slots: list[Slot]) -> None:
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


def put_back_newest(slots: Sequence[Slot], number: int, identity: LogIdentity, put_back: PutBack, end: int | None = None) -> int | None:
    """Begin from the newest good snapshot of this log that does not go beyond the log's `end`; the slot it was in, or None."""
    seals = [(read_final(slot.seal) if slot.seal else None, nth) for nth, slot in enumerate(slots)]
    sealed = sorted(((seal, nth) for seal, nth in seals if seal is not None), key=lambda one: one[0].head.seq, reverse=True)
    for seal, nth in sealed:
        if _is_foreign(seal, number, identity):
            continue
        if end is not None and seal.head.next_offset > end:
            log.error("a snapshot is of commits that the log has lost", action="snapshot.ahead", partition=number, end=end)
            continue
        if put_back(seal, slots[nth].chunks):
            return nth
        log.warning("snapshot does not fit", action="snapshot.ignored", partition=number, slot=nth)
    return None


def _is_foreign(seal: Seal, number: int, identity: LogIdentity) -> bool:
    """The topic of snapshots outlived a log, or belongs to another cluster: its state is not this log's, whatever its digest says."""
    if (seal.log_id, seal.partitions, seal.epoch) == (identity.log_id, identity.partitions, identity.epoch):
        return False
    log.error(
        "a snapshot is of another log and is not used; the log is folded from its first commit",
        action="snapshot.foreign",
        partition=number,
        found=f"log {seal.log_id} ({seal.partitions} partitions, epoch {seal.epoch})",
        expected=f"log {identity.log_id} ({identity.partitions} partitions, epoch {identity.epoch})",
    )
    return True
