"""The events of a log as lines: the last ones, and those to come."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Raw, Struct

from ledger.config import Settings
from ledger.core import wire
from ledger.core.chain import Head
from ledger.core.refusal import ChainBroken, Undecodable
from ledger.kafka import history
from ledger.kafka.log_reader import AcceptedCommit, LogReader

GROWTH: Final = 8  # so many times more records are read where too few events were in the last ones
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Line(Struct, frozen=True, omit_defaults=True):
    """An event with its name (log, partition, seq, index) and its address (partition, offset, index)."""

    log: str
    partition: int
    seq: int
    index: int
    offset: int
    at: str  # of decision, UTC
    event: Raw
    void: bool = False  # of a zombie's commit: it counts for no reader


def lines(commit: AcceptedCommit, *, void: bool = False) -> list[Line]:
    """The events of a commit. Raises `ChainBroken` if one cannot be read."""
    header = commit.header
    try:
        events = commit.commit().events
    except Undecodable as error:
        raise ChainBroken(header.log, header.partition, commit.offset, str(error)) from error
    at = (EPOCH + timedelta(microseconds=header.at)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return [
        Line(header.log, header.partition, header.seq, nth, commit.offset, at, Raw(wire.encode(event)), void)
        for nth, event in enumerate(events)
    ]


async def tail(settings: Settings, log: str, partitions: Sequence[int], most: int) -> tuple[list[Line], list[Head]]:
    """The last events, at most `most` of all partitions together, in the order of decision; and where each partition goes on."""
    found: list[Line] = []
    heads: list[Head] = []
    for partition in partitions:
        last, head = await _last_events(settings, log, partition, most)
        found += last
        heads.append(head)
    found.sort(key=lambda line: (line.at, line.partition, line.seq, line.index))
    return found[max(0, len(found) - most) :], heads


async def _last_events(settings: Settings, log: str, partition: int, most: int) -> tuple[list[Line], Head]:
    """The last events of a partition, and where it goes on. A commit may hold many events, one or none, so more and more of the last
    records are read until there are enough; at least one is read, to know where the chain is."""
    async with LogReader(settings, log, partition) as reader:
        end, records = (await reader.bounds()).end, max(1, most)
        while True:
            first = await history.last_before(reader, end - records)
            if first is None:
                return [], Head(log, partition)
            found, head = lines(first), history.head_after(first)
            async with aclosing(reader.commits(head, end)) as batches:
                async for walked in batches:
                    found += [line for commit in walked.commits for line in lines(commit)]
                    head = walked.head
            if len(found) >= most or records >= end:
                return found[max(0, len(found) - most) :], head
            records *= GROWTH


async def follow(settings: Settings, heads: Sequence[Head], put: Callable[[list[Line]], None]) -> None:
    """Give the events behind `heads` to `put` as they come, for ever. Raises `ChainBroken`, `Unavailable`."""
    await asyncio.gather(*(_follow(settings, head, put) for head in heads))


async def _follow(settings: Settings, head: Head, put: Callable[[list[Line]], None]) -> None:
    async with LogReader(settings, head.log, head.partition) as reader, aclosing(reader.commits(head)) as batches:
        async for walked in batches:
            put([line for commit in walked.commits for line in lines(commit)])
