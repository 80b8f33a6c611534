"""The first events of executions, read from the log: what was asked for, as it was written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from ledger.config import Settings
from ledger.core import wire
from ledger.core.execution import Requested
from ledger.core.refusal import Conflict
from ledger.kafka.log_reader import LogReader

APART: Final = 200  # records between two that are wanted, from which on it is quicker to seek

Places = Mapping[str, tuple[int, int]]  # execution -> partition, offset of the commit that it begins in


async def read_requests(settings: Settings, places: Places) -> dict[str, Requested]:
    """Raises `Conflict` for one that is not there, `Unavailable`."""
    found: dict[str, Requested] = {}
    for partition in sorted({partition for partition, _ in places.values()}):
        wanted = {name: offset for name, (where, offset) in places.items() if where == partition}
        offsets = set(wanted.values())
        async with LogReader(settings, "events", partition) as reader:
            for first, last in _stretches(sorted(offsets)):
                async with aclosing(reader.batches(first, last + 1)) as batches:
                    async for batch in batches:
                        for record in batch.records:
                            if record.offset in offsets:
                                found.update(_requests_in(record.value, wanted))
    if missing := [name for name in places if name not in found]:
        raise Conflict(f"the log does not hold the request of {missing[0]} where the tables say: run `jobledger projections verify`")
    return found


def _stretches(offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """What is read in one go: from the first to the last of offsets that are near to each other."""
    first = last = -1
    for offset in offsets:
        if first < 0 or offset - last > APART:
            if first >= 0:
                yield first, last
            first = offset
        last = offset
    if first >= 0:
        yield first, last


def _requests_in(record: bytes | None, wanted: Mapping[str, int]) -> dict[str, Requested]:
    return {
        event.execution_id: event
        for event in wire.decode_commit(record).events
        if isinstance(event, Requested) and event.execution_id in wanted
    }
