"""Finds commits in the middle of a log, where the chain up to there is not walked."""

from contextlib import aclosing

from ledger.core import chain, wire
from ledger.core.chain import Head, Header
from ledger.core.refusal import ChainBroken, Undecodable
from ledger.kafka.log_reader import AcceptedCommit, LogReader


async def by_seq(reader: LogReader, seq: int) -> AcceptedCommit | None:
    """The accepted commit number `seq`, or None. The first record with a number is the accepted one (a void comes behind it), and stands at
    offset `seq` - 1 or later, so reading begins there."""
    start, end = await reader.bounds()
    if seq < 1 or seq > end:
        return None
    async with aclosing(reader.batches(max(start, seq - 1), end, most=64)) as batches:
        async for batch in batches:
            for record in batch.records:
                commit = _read(reader, record.offset, record.timestamp, record.value)
                if commit.header.seq == seq:
                    return commit
                if commit.header.seq > seq:
                    return None
    return None


async def last_before(reader: LogReader, offset: int) -> AcceptedCommit | None:
    """The last accepted commit at or before `offset`, the first one if there is none; None of an empty partition."""
    start, end = await reader.bounds()
    for place in range(min(offset, end - 1), start - 1, -1):
        if (commit := await at_offset(reader, place)) is not None and not await is_void(reader, commit):
            return commit
    return await by_seq(reader, 1)


async def at_offset(reader: LogReader, offset: int) -> AcceptedCommit | None:
    """The commit at `offset`, accepted or void; None if there is no record. Raises `ChainBroken` if it is no commit."""
    record = await reader.at(offset)
    return None if record is None else _read(reader, offset, record.timestamp, record.value)


async def is_void(reader: LogReader, commit: AcceptedCommit) -> bool:
    """Its number was taken before it came."""
    first = await by_seq(reader, commit.header.seq)
    return first is not None and first.offset < commit.offset


def head_after(commit: AcceptedCommit) -> Head:
    """Where reading goes on behind an accepted commit."""
    header = commit.header
    return chain.after(Head(header.log, header.partition), header, commit.digest, commit.offset)


def _read(reader: LogReader, offset: int, appended_ms: int, record: bytes | None) -> AcceptedCommit:
    try:
        header: Header = wire.decode_header(record)
    except Undecodable as error:
        raise ChainBroken(reader.log, reader.partition, offset, str(error)) from error
    return AcceptedCommit(offset, appended_ms, record or b"", header, chain.digest(record or b""))
