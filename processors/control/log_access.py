"""Reads a partition's log for its actor: from the fold's head to the end there is now."""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.core.fold import LogFold
from ledger.core.refusal import Conflict
from ledger.kafka.connect import new_consumer

log = structlog.get_logger(__name__)


async def catch_up(settings: Settings, fold: LogFold) -> None:
    """Feed `fold` with all that its log holds now. A broker that is away is waited out. Raises `ChainBroken`, `Conflict`."""
    backoff = 0.1
    while True:
        try:
            await _catch_up(settings, fold)
            return
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("log is out of reach", action="log.retry", partition=fold.head.partition, error=repr(error), retry_in=backoff)
            await asyncio.sleep(backoff)
            backoff = min(2.0, backoff * 2)


async def _catch_up(settings: Settings, fold: LogFold) -> None:
    partition = TopicPartition(settings.topic(fold.head.log), fold.head.partition)
    consumer = new_consumer(settings.kafka.bootstrap)
    try:
        await consumer.start()
        consumer.assign([partition])
        start = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        place = fold.head.next_offset
        if not start <= place <= end:
            raise Conflict(
                f"{partition.topic}[{partition.partition}] holds offsets {start} to {end}, but reading goes on at {place}: "
                "the topic was cut or made anew; check it with `jobledger topics apply --plan`"
            )
        consumer.seek(partition, place)
        while fold.head.next_offset < end and await consumer.position(partition) < end:
            await _take(consumer, partition, fold)
    finally:
        await consumer.stop()


async def _take(consumer: AIOKafkaConsumer, partition: TopicPartition, fold: LogFold) -> None:
    for record in (await consumer.getmany(partition, timeout_ms=1000, max_records=200)).get(partition, ()):
        fold.feed(record.value, record.offset)
    await asyncio.sleep(0)


async def readable_from(settings: Settings, topic: str, number: int, wanted: int, decided: int) -> int:
    """Where reading of `wanted` can begin: later only if retention took records up to `decided`. Raises `Conflict` if commands are gone."""
    place = TopicPartition(topic, number)
    start, end = (await bounds(settings, [place]))[place]
    if wanted > end or decided >= end > 0:
        raise Conflict(f"{topic}[{number}] ends at {end}, but commands up to offset {decided} were decided: the topic was made anew")
    if start > decided + 1:
        raise Conflict(f"{topic}[{number}] starts at {start}, but commands up to {decided} alone were decided: retention took commands")
    return max(start, wanted)


async def bounds(settings: Settings, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    """Partition -> its first offset, and the one that its next record gets. A broker that is away is waited out."""
    backoff = 0.1
    while True:
        consumer = new_consumer(settings.kafka.bootstrap)
        try:
            await consumer.start()
            starts = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            return {partition: (starts[partition], ends[partition]) for partition in partitions}
        except (KafkaError, OSError, TimeoutError):
            await asyncio.sleep(backoff)
            backoff = min(2.0, backoff * 2)
        finally:
            await consumer.stop()


async def first_record_from(settings: Settings, topic: str, number: int, offset: int) -> int | None:
    """The offset of the first record at or after `offset`; None: none within some seconds."""
    partition = TopicPartition(topic, number)
    consumer = new_consumer(settings.kafka.bootstrap)
    try:
        await consumer.start()
        consumer.assign([partition])
        consumer.seek(partition, offset)
        records = (await consumer.getmany(partition, timeout_ms=5000, max_records=1)).get(partition, ())
        return next((record.offset for record in records), None)
    except (KafkaError, OSError, TimeoutError):
        return None
    finally:
        await consumer.stop()
