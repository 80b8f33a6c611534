"""Events read from the log itself: of an execution, whose row says where the first and the last of them are; of whatever has a name."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ledger.config import Settings
from ledger.core import execution, wire
from ledger.core.causes import Story
from ledger.core.chain import Head
from ledger.kafka.log_reader import AcceptedCommit, LogReader, Record, walk
from projections.rows import Address, Execution, PastEvent


async def read_history(settings: Settings, row: Execution) -> list[PastEvent]:
    """The oldest first, up to the one the row shows. Raises `ChainBroken`, `Conflict`, `Unavailable`."""
    partition, name, story = row.address.partition, row.execution_id.encode(), Story()
    events: list[PastEvent] = []
    head: Head | None = None
    async with (
        LogReader(settings, "events", partition) as reader,
        aclosing(reader.batches(row.requested_offset, row.address.offset + 1)) as batches,
    ):
        async for batch in batches:
            head = head or head_before(batch.records[0], "events", partition)
            walked = walk(head, batch.records)
            head = walked.head
            for commit in walked.commits:
                if name in commit.record:
                    events.extend(_events_of(commit, row, story))
            if walked.broken is not None:
                raise walked.broken
    return events


async def commits_naming(
    settings: Settings, log: str, partition: int, start: int, until: int | None, words: tuple[bytes, ...]
) -> AsyncGenerator[tuple[wire.Commit, int], None]:
    """The accepted commits at offsets [start, until), or to the present end, in which one of the words stands, and the offset of each. The
    others are walked for their chain and not decoded. At `start` there has to be an accepted one. Raises as `read_history` does."""
    head: Head | None = Head(log, partition) if start == 0 else None
    async with LogReader(settings, log, partition) as reader:
        end = (await reader.bounds()).end if until is None else until
        if start >= end:
            return
        async with aclosing(reader.batches(start, end)) as batches:
            async for batch in batches:
                head = head or head_before(batch.records[0], log, partition)
                walked = walk(head, batch.records)
                head = walked.head
                for accepted in walked.commits:
                    if any(word in accepted.record for word in words):
                        yield accepted.commit(), accepted.offset
                if walked.broken is not None:
                    raise walked.broken


def head_before(first: Record, log: str, partition: int) -> Head:
    """The head that the first commit follows: it is known to be a good one, as a row came from it."""
    header = wire.decode_header(first.value)
    return Head(log, partition, header.seq - 1, header.prev, next_offset=first.offset)


def _events_of(accepted: AcceptedCommit, row: Execution, story: Story) -> list[PastEvent]:
    commit = accepted.commit()
    return [
        PastEvent(
            Address(commit.partition, commit.seq, index, accepted.offset), commit.at, event, story.cause(commit.events, index), commit.log
        )
        for index, event in enumerate(commit.events)
        if isinstance(event, execution.Event) and event.execution_id == row.execution_id
    ]
