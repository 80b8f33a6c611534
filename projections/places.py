"""Where to go on: the tables' position, checked against the log that is there."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from ledger.config import Settings
from ledger.core import chain, wire
from ledger.core.chain import Head
from ledger.core.refusal import Conflict
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import LogIdentity
from projections.memory import Memory
from projections.patches import Source
from projections.positions import Position
from projections.projection import Projection
from projections.tail import Reached, Tail


class Opened(NamedTuple):
    """Where the tables stand in a partition, and what its fold has to know to go on there."""

    source: Source
    position: Position
    memory: Memory


def sources(identity: LogIdentity) -> list[Source]:
    """Every partition of both logs, the registry first."""
    return [("registry", 0), *(("events", number) for number in range(identity.partitions))]


async def tails_from(settings: Settings, identity: LogIdentity, projection: Projection, opened: Iterable[Opened]) -> list[Tail]:
    """Tails that go on where the tables stand. Raises `Conflict` with both values if the log at a position is not the one folded so far;
    `Unavailable`."""
    return list(await asyncio.gather(*(_tail_from(settings, identity, projection, one) for one in opened)))


async def _tail_from(settings: Settings, identity: LogIdentity, projection: Projection, opened: Opened) -> Tail:
    source, position, memory = opened
    start = Reached(Head(*source)) if position.seq == 0 else await _reached(settings, identity, source, position)
    return Tail(identity.log_id, start, projection.fold(source[0], identity.partitions, memory))


async def _reached(settings: Settings, identity: LogIdentity, source: Source, position: Position) -> Reached:
    log, partition = source
    if position.log_id != identity.log_id:
        raise _other_log(settings, source, f"log {position.log_id}", f"log {identity.log_id}")
    async with LogReader(settings, log, partition) as reader:
        record = await reader.at(position.offset)
    found = "no record" if record is None else chain.digest(record.value or b"")
    if record is None or found != position.digest:
        where = f"at offset {position.offset}"
        raise _other_log(settings, source, f"commit {position.seq} {where} with digest {position.digest}", f"{found} {where}")
    commit = wire.decode_header(record.value)
    return Reached(chain.after(Head(log, partition), commit, found, record.offset), record.offset, position.voids)


def _other_log(settings: Settings, source: Source, folded: str, found: str) -> Conflict:
    log, partition = source
    return Conflict(
        f"the tables in schema {settings.database.table_schema!r} were folded from {folded}, "
        f"but {settings.topic(log)}[{partition}] has {found}: "
        "correct kafka.bootstrap, prefix or database.schema; to fold the log that is there, run `jobledger projections rebuild`"
    )
