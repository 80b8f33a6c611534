"""A schema with its tables, and logs made up on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core import outcome, wire
from ledger.kafka.opening import LogIdentity, opening
from projections import consumer, schema
from projections.connecting import connect
from projections.differences import Difference
from projections.reads import Reads, open_reads
from projections.sweeping import USUAL, Sizes
from projections.verify import Verified, verify
from tests.synthetic_log import SyntheticLog, append

DEADLINE = 60.0


@pytest.fixture
def upgraded(settings: Settings) -> Settings:
    schema.upgrade(settings)
    return settings


@pytest.fixture
def sql(upgraded: Settings) -> Iterator[Connection[TupleRow]]:
    """A connection whose names without a schema are our tables."""
    with connect(upgraded) as connection:
        connection.execute(f'SET search_path = "{upgraded.database.table_schema}"'.encode())
        yield connection


@pytest.fixture
async def reads(upgraded: Settings) -> AsyncIterator[Reads]:
    async with open_reads(upgraded) as opened:
        yield opened


class Logs:
    """Both logs on a real Kafka. What is committed here is appended by `send`."""

    def __init__(self, settings: Settings, identity: LogIdentity) -> None:
        opened = outcome.Opened(identity.log_id, identity.partitions, identity.epoch)
        places = [("registry", 0), *(("events", number) for number in range(identity.partitions))]
        self.settings = settings
        self.of = {place: SyntheticLog(*place, opening(place, opened)) for place in places}
        self._sent = dict.fromkeys(places, 1)

    def events(self, partition: int) -> SyntheticLog:
        return self.of["events", partition]

    @property
    def registry(self) -> SyntheticLog:
        return self.of["registry", 0]

    def fill(self, partition: int, events: Sequence[wire.Event], per_commit: int = 50) -> None:
        self.events(partition).fill(events, per_commit)

    async def send(self) -> None:
        for place, log in self.of.items():
            await append(self.settings, *place, log.records[self._sent[place] :])
            self._sent[place] = len(log.records)

    @property
    def last(self) -> dict[tuple[str, int], int]:
        """The number of the last commit of each partition."""
        return {place: log.seq for place, log in self.of.items()}


@pytest.fixture
def logs(upgraded: Settings, opened: LogIdentity) -> Logs:
    return Logs(upgraded, opened)


@asynccontextmanager
async def consuming(settings: Settings) -> AsyncIterator[consumer.Progress]:
    """A consumer at work for the time of the block. What ends it before that is raised."""
    stop, seen = asyncio.Event(), consumer.Progress()

    def report(progress: consumer.Progress) -> None:
        seen.events, seen.voids, seen.stopped, seen.away = progress.events, progress.voids, progress.stopped, progress.away

    task = asyncio.create_task(consumer.run(settings, stop, report))
    try:
        yield seen
    finally:
        stop.set()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE)


async def until(condition: Callable[[], Awaitable[bool]], deadline: float = DEADLINE) -> None:
    """Polls: what is waited for stands on another server."""
    async with asyncio.timeout(deadline):
        while not await condition():  # noqa: ASYNC110  # there is nothing to await
            await asyncio.sleep(0.02)


async def caught_up(reads: Reads, logs: Logs) -> None:
    """The tables hold every commit of both logs."""

    async def there() -> bool:
        positions = {(row.log, row.log_partition): row.log_seq for row in await reads.positions()}
        return all(positions.get(place, 0) >= seq for place, seq in logs.last.items())

    await until(there)


async def differences(settings: Settings, sizes: Sizes = USUAL) -> list[Difference]:
    return [one async for one in verify(settings, Verified(), sizes=sizes)]
