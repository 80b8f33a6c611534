"""Reads for an actor: its partition's log from the fold's head to the end there is now, and where its commands begin and end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from ledger.config import Settings
from ledger.core.fold import LogFold
from ledger.core.refusal import Conflict, Unavailable
from ledger.kafka.connect import bounds_of, new_consumer, running
from ledger.kafka.log_reader import LogReader
from ledger.spread import spread

log = structlog.get_logger(__name__)
AT_ONCE = 20  # commits that are folded before others get a turn
LONGEST_PAUSE = 2.0
_REPAIR: Final = (
    "what was decided is in the log still: end all processes, `jobledger ledger export FILE`, and go on under another `prefix`, "
    "`jobledger ledger import FILE` first (docs/backup.md); commands that are gone have to be sent again"
)

T = TypeVar("T")


async def catch_up(settings: Settings, fold: LogFold, progress: Callable[[], None] = lambda: None) -> None:
    """Feed `fold` with all that its log holds now. A broker that is away is waited out. Raises `ChainBroken`, `Conflict`."""
    await patiently(lambda: _catch_up(settings, fold, progress))


async def _catch_up(settings: Settings, fold: LogFold, progress: Callable[[], None]) -> None:
    async with LogReader(settings, fold.head.log, fold.head.partition) as reader:
        end = (await reader.bounds()).end
        async with aclosing(reader.batches(fold.head.next_offset, end, most=AT_ONCE)) as batches:
            async for batch in batches:
                for record in batch.records:
                    fold.feed(record.value, record.offset)
                progress()
                await asyncio.sleep(0)


async def readable_from(settings: Settings, topic: str, number: int, wanted: int, decided: int) -> int:
    """Where reading of `wanted` can begin: later only if retention took records up to `decided`. Raises `Conflict` if commands are gone."""
    place = TopicPartition(topic, number)
    start, end = (await bounds(settings, [place]))[place]
    if wanted > end or decided >= end > 0:
        raise _lost(topic, number, f"ends at {end}, but commands up to offset {decided} were decided: the topic was made anew")
    if start > decided + 1:
        raise _lost(topic, number, f"starts at {start}, but commands up to {decided} alone were decided: retention took commands")
    return max(start, wanted)


def _lost(topic: str, number: int, what: str) -> Conflict:
    return Conflict(f"{topic}[{number}] {what}; {_REPAIR}")


async def bounds(settings: Settings, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    """Partition -> its first offset, and the one that its next record gets. A broker that is away is waited out."""
    return await patiently(lambda: _bounds(settings, partitions))


async def _bounds(settings: Settings, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    consumer = new_consumer(settings.kafka.bootstrap)
    async with running(consumer):
        return await bounds_of(consumer, partitions)


async def first_record_from(settings: Settings, topic: str, number: int, offset: int) -> int | None:
    """The offset of the first record at or after `offset`, of a topic named as in the settings; None: there is none now, or no answer."""
    try:
        async with LogReader(settings, topic, number) as reader:
            start, end = await reader.bounds()
            async with aclosing(reader.batches(max(start, offset), end, most=1)) as batches:
                async for batch in batches:
                    return batch.records[0].offset
    except (Unavailable, Conflict):  # whoever seeks next says it
        pass
    return None


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Again and again while the broker is away."""
    pause = 0.1
    while True:
        try:
            return await read()
        except (Unavailable, KafkaError, OSError) as error:
            retry_in = round(spread(pause), 2)
            log.warning("the broker is out of reach", action="log.retry", error=repr(error), retry_in=retry_in)
            await asyncio.sleep(retry_in)
            pause = min(LONGEST_PAUSE, pause * 2)
