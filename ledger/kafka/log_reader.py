"""Reads a partition of a log: from somewhere on, to an end or for ever; as records, or as the commits that the chain's rule accepts.

The work is per fetched batch; what is done per commit is the judging itself. Source: architecture.md, section 4.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self, assert_never

from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError

from ledger.config import Settings
from ledger.core import chain, wire
from ledger.core.chain import Accepted, Broken, Head, Header, Void
from ledger.core.refusal import ChainBroken, Conflict, Unavailable, Undecodable
from ledger.kafka.connect import new_consumer, no_topic, running, unavailable

PATIENCE: Final = 10.0  # seconds without an answer where there has to be one


class Record(Protocol):
    """What is used of aiokafka's record. `timestamp`: the broker's append time in milliseconds."""

    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def timestamp(self) -> int: ...


class Bounds(NamedTuple):
    """The first offset that a partition still holds, and the one that its next record gets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as they were fetched, and where reading goes on: behind offsets that hold no record, too."""

    records: Sequence[Record]
    next_offset: int


@dataclass(frozen=True, slots=True)
class AcceptedCommit:
    """A commit that every reader accepts. Its events are not decoded yet."""

    offset: int
    appended_ms: int
    record: bytes
    header: Header
    digest: str

    def commit(self) -> wire.Commit:
        """With its events. Raises `Undecodable`."""
        return wire.decode_commit(self.record)


@dataclass(frozen=True, slots=True)
class Walked:
    """What the chain's rule makes of some records. `broken` ends it: nothing behind counts."""

    commits: list[AcceptedCommit]
    voids: list[int]  # their offsets
    head: Head
    broken: ChainBroken | None = None


def walk(head: Head, records: Sequence[Record]) -> Walked:
    """Judge records one after the other, from `head` on. Pure."""
    commits: list[AcceptedCommit] = []
    voids: list[int] = []
    for record in records:
        value, offset = record.value or b"", record.offset
        try:
            header = wire.decode_header(value)
        except Undecodable as error:
            return Walked(commits, voids, head, ChainBroken(head.log, head.partition, offset, str(error)))
        match chain.judge(head, header):
            case Accepted():
                digest = chain.digest(value)
                commits.append(AcceptedCommit(offset, record.timestamp, value, header, digest))
                head = chain.after(head, header, digest, offset)
            case Void():
                voids.append(offset)
                head = chain.past_void(head, offset)
            case Broken(detail):
                return Walked(commits, voids, head, ChainBroken(head.log, head.partition, offset, detail))
            case _ as never:
                assert_never(never)
    return Walked(commits, voids, head)


class LogReader:
    """A consumer of its own for one partition of a log, for the time of an `async with`. Not for two tasks at once.

    A server that is away is said as `Unavailable` within about ten seconds; who wants to wait longer comes again. A topic that is not there
    is `Misconfigured`.
    """

    def __init__(self, settings: Settings, log: str, partition: int) -> None:
        self._bootstrap = settings.kafka.bootstrap
        self.log = log
        self.partition = partition
        self._place = TopicPartition(settings.topic(log), partition)
        self._consumer = new_consumer(self._bootstrap)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(running(self._consumer))
                topics = await self._consumer.topics()  # before one is asked for by name: the broker may make it then, or keep us waiting
            except (KafkaError, OSError) as error:
                raise unavailable(self._bootstrap, error) from error
            if self._place.topic not in topics:
                raise no_topic(self._bootstrap, self._place.topic)
            self._consumer.assign([self._place])
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def bounds(self) -> Bounds:
        """What the partition holds now."""
        try:
            async with asyncio.timeout(PATIENCE):
                start = (await self._consumer.beginning_offsets([self._place]))[self._place]
                return Bounds(start, (await self._consumer.end_offsets([self._place]))[self._place])
        except (KafkaError, OSError, TimeoutError) as error:
            raise unavailable(self._bootstrap, error) from error

    async def batches(self, start: int, until: int | None = None, *, most: int | None = None) -> AsyncGenerator[Batch, None]:
        """Records from offset `start` up to `until`, exclusive, or for ever; `most` in a batch. Raises `Conflict` if `start` is not
        there (any more): a consumer that is sent there anyway would silently read from another place."""
        self._check(start, await self.bounds())
        self._consumer.seek(self._place, start)
        next_offset = start
        while until is None or next_offset < until:
            records = await self._fetch(most, patient=until is not None)
            if records and records[0].offset < next_offset:
                raise Conflict(f"{self._where()} gives offset {records[0].offset} after {next_offset - 1}: {_MADE_ANEW}")
            next_offset = await self._consumer.position(self._place)
            if until is not None and next_offset > until:
                records = [record for record in records if record.offset < until]
            if records:
                yield Batch(records, next_offset)

    async def commits(self, head: Head, until: int | None = None, *, most: int | None = None) -> AsyncGenerator[Walked, None]:
        """What the chain's rule accepts behind `head`, a batch at a time, or `most` of it: what was fetched may be many times as large once
        it is unpacked. Raises `ChainBroken`, after yielding what is good before it."""
        async with aclosing(self.batches(head.next_offset, until, most=most)) as batches:
            async for batch in batches:
                walked = walk(head, batch.records)
                yield walked
                if walked.broken is not None:
                    raise walked.broken
                head = walked.head

    async def at(self, offset: int) -> Record | None:
        """The record at an offset; None where there is none. For history by address: any order, again and again."""
        bounds = await self.bounds()
        if not bounds.start <= offset < bounds.end:
            return None
        async with aclosing(self.batches(offset, offset + 1, most=1)) as batches:
            async for batch in batches:
                return batch.records[0]
        return None

    async def _fetch(self, most: int | None, *, patient: bool) -> list[Record]:
        """At most what was fetched at once. `patient`: there has to be more, so silence is trouble."""
        try:
            async with asyncio.timeout(PATIENCE if patient else None):
                while True:
                    before = await self._consumer.position(self._place)
                    got = await self._consumer.getmany(self._place, timeout_ms=500, max_records=most)
                    if got:
                        records: list[Record] = got[self._place]
                        return records
                    if await self._consumer.position(self._place) != before:
                        return []  # offsets without records
        except CorruptRecordException as error:
            offset = await self._consumer.position(self._place)
            raise ChainBroken(self.log, self.partition, offset, f"the broker's checksum does not fit the bytes: {error}") from error
        except TimeoutError as error:
            raise Unavailable(
                f"{self._bootstrap} gave no record of {self._where()} within {PATIENCE:g} s though there are more: "
                "see whether the partition has a leader"
            ) from error
        except (KafkaError, OSError) as error:
            raise unavailable(self._bootstrap, error) from error

    def _check(self, start: int, bounds: Bounds) -> None:
        if bounds.start <= start <= bounds.end:
            return
        why = "its first records are gone" if start < bounds.start else _MADE_ANEW
        raise Conflict(f"{self._where()} holds offsets {bounds.start} to {bounds.end}, but reading goes on at {start}: {why}")

    def _where(self) -> str:
        return f"{self._place.topic}[{self.partition}]"


_MADE_ANEW: Final = "the topic was made anew or belongs to another cluster; check kafka.bootstrap and `jobledger topics apply --plan`"
