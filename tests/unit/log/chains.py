"""Chains in memory, for tests that read logs and for those that forge them."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Raw, structs

from ledger.core import chain, execution, outcome, wire
from ledger.core.ids import Address, ExecutionId, Position

LOG_ID = "99df457532c341da91c0d2948c483165"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as a broker hands it out."""

    offset: int
    value: bytes | None
    timestamp: int = 0


def commit(seq: int, prev: str, *, log: str = "events", partition: int = 0, log_id: str = LOG_ID) -> wire.Commit:
    """The commit number `seq` of a log that has seen one completed execution a commit."""
    events: tuple[wire.Event, ...] = (execution.Completed(ExecutionId(f"e{seq}-{partition}"), 1, 10 + seq, Raw(b'{"n":%d}' % seq)),)
    if seq == 1:
        events = (outcome.Opened(log_id, 4),)
    return wire.Commit(1, log, partition, seq, prev, seq * 1000, Position(seq - 2, 0), Address(seq // 2, 0) if seq > 1 else None, events)


def chain_of(length: int, *, log: str = "events", partition: int = 0, log_id: str = LOG_ID) -> list[bytes]:
    """The records of a good chain."""
    records: list[bytes] = []
    for seq in range(1, length + 1):
        prev = chain.digest(records[-1]) if records else chain.GENESIS
        records.append(wire.encode(commit(seq, prev, log=log, partition=partition, log_id=log_id)))
    return records


def stored(records: Sequence[bytes | None]) -> list[Stored]:
    return [Stored(offset, record) for offset, record in enumerate(records)]


def rewritten(record: bytes, **fields: object) -> bytes:
    """The same commit with other fields: what a forger would write who knows the format."""
    return wire.encode(structs.replace(wire.decode_commit(record), **fields))
