"""Appends to a partition of a log as it is said, for tests that build logs and for those that damage them."""

import asyncio
from collections.abc import Mapping, Sequence

from ledger.config import Settings
from ledger.core.chain import Head
from ledger.kafka.connect import new_producer
from ledger.kafka.log_reader import LogReader


async def append(settings: Settings, log: str, partition: int, records: Sequence[bytes | None]) -> None:
    await append_all(settings, {(log, partition): records})


async def append_all(settings: Settings, logs: Mapping[tuple[str, int], Sequence[bytes | None]]) -> None:
    """To several partitions at once."""
    producer = new_producer(settings.kafka.bootstrap)
    await producer.start()
    try:
        acks = [
            await producer.send(settings.topic(log), record, partition=partition)
            for (log, partition), records in logs.items()
            for record in records
        ]
        await asyncio.gather(*acks)
    finally:
        await producer.stop()


async def read_all(settings: Settings, log: str, partition: int) -> list[bytes]:
    async with LogReader(settings, log, partition) as reader:
        end = (await reader.bounds()).end
        return [record.value or b"" async for batch in reader.batches(0, end) for record in batch.records]


async def read_head(settings: Settings, log: str, partition: int) -> Head:
    """The head of the accepted chain."""
    head = Head(log, partition)
    async with LogReader(settings, log, partition) as reader:
        async for walked in reader.commits(head, (await reader.bounds()).end):
            head = walked.head
    return head
