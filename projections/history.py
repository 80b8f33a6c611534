"""The events of an execution, read from the log itself: a row says where the first and the last of them are."""

from contextlib import aclosing

from ledger.config import Settings
from ledger.core import execution, wire
from ledger.core.chain import Head
from ledger.kafka.log_reader import AcceptedCommit, LogReader, Record, walk
from projections.rows import Address, Execution, PastEvent


async def read_history(settings: Settings, row: Execution) -> list[PastEvent]:
    """The oldest first, up to the one the row shows. Raises `ChainBroken`, `Conflict`, `Unavailable`."""
    partition, name = row.address.partition, row.execution_id.encode()
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
                    events.extend(_events_of(commit, row))
            if walked.broken is not None:
                raise walked.broken
    return events


def head_before(first: Record, log: str, partition: int) -> Head:
    """The head that the first commit follows: it is known to be a good one, as a row came from it."""
    header = wire.decode_header(first.value)
    return Head(log, partition, header.seq - 1, header.prev, next_offset=first.offset)


def _events_of(accepted: AcceptedCommit, row: Execution) -> list[PastEvent]:
    commit = accepted.commit()
    return [
        PastEvent(Address(commit.partition, commit.seq, index, accepted.offset), commit.at, event)
        for index, event in enumerate(commit.events)
        if isinstance(event, execution.Event) and event.execution_id == row.execution_id
    ]
