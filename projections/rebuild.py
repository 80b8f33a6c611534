"""The tables anew from the first commit. The ones in use stay as they are until the new ones are whole and take their place.

Executions that ended are copied once and never touched again; those under way are held back in memory, so that hardly a row is written
twice. Where too many are under way, they are written too, and changed later as the consumer changes rows.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from psycopg import Connection
from psycopg.errors import UndefinedTable, UniqueViolation
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core.chain import Head
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import LogIdentity, check_identity
from projections.connecting import connect, not_upgraded
from projections.folds import fold_of
from projections.forms import EXECUTIONS, FORMS
from projections.next_tables import SUFFIX, NextTables
from projections.patches import Changes
from projections.places import sources
from projections.positions import PositionRows
from projections.statements import statements_for
from projections.tail import Reached, Source, Stretch, Tail
from projections.writing import SESSION, write_table

CLOSE_ENOUGH: Final = 20  # records of a partition that the consumer may catch up with after the swap

_FINISHED: Final = EXECUTIONS.columns.index("finished_at")


@dataclass(frozen=True, slots=True)
class Progress:
    phase: str  # folding, indexing, catching up, swapped
    records: int  # of the log, read
    of: int
    events: int
    seconds: float


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """`most_held`: executions under way in memory, about 1 KB each. `records_at_once`: folded before anything else gets a turn."""

    events_a_write: int = 30_000
    records_at_once: int = 60
    most_held: int = 400_000


USUAL: Final = Sizes()


async def rebuild(settings: Settings, report: Report = lambda progress: None, sizes: Sizes = USUAL) -> Progress:
    """Fold the log again and put the result in the tables' place. Raises `Conflict`, `Unavailable`, `Misconfigured`."""
    identity = await check_identity(settings)
    connection = connect(settings)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="rebuild-sql") as executor:
            return await _Rebuild(settings, identity, connection, executor, report, sizes).run()
    finally:
        connection.close()


class _Rebuild:
    def __init__(
        self,
        settings: Settings,
        identity: LogIdentity,
        connection: Connection[TupleRow],
        executor: ThreadPoolExecutor,
        report: Report,
        sizes: Sizes,
    ) -> None:
        schema = settings.database.table_schema
        self._settings = settings
        self._report = report
        self._sizes = sizes
        self._began = time.monotonic()
        self._connection = connection
        self._executor = executor
        self._next = NextTables(connection, schema)
        self._positions = PositionRows(schema)
        self._tables = tuple((statements_for(form, schema, SUFFIX), rows_of) for form, rows_of in FORMS)
        self._writing: asyncio.Future[None] | None = None
        self._tails = [
            Tail(identity.log_id, Reached(Head(*source)), fold_of(source[0], identity.partitions)) for source in sources(identity)
        ]
        self._reached: dict[Source, Stretch] = {}
        self._ends: dict[Source, int] = {}
        self._read = 0
        self._events = 0

    async def run(self) -> Progress:
        await self._sql(self._prepare)
        await self._look_for_ends()
        for tail in self._tails:
            await self._fold(tail)
        await self._sql(self._next.add_keys)
        self._tell("indexing")
        await self._sql(self._next.add_indexes)
        while await self._catch_up():
            self._tell("catching up")
        await self._sql(lambda: self._next.swap(self._positions, self._reached.values()))
        return self._tell("swapped")

    def _prepare(self) -> None:
        for setting in SESSION:
            self._connection.execute(setting)
        try:
            self._next.create()
        except UndefinedTable as error:
            raise not_upgraded(self._settings) from error
        for statements, _ in self._tables:
            self._connection.execute(statements.create_stage)

    async def _look_for_ends(self) -> None:
        ends = await asyncio.gather(*(self._end_of(tail.source) for tail in self._tails))
        self._ends = {tail.source: end for tail, end in zip(self._tails, ends, strict=True)}

    async def _end_of(self, source: Source) -> int:
        async with LogReader(self._settings, *source) as reader:
            return (await reader.bounds()).end

    async def _fold(self, tail: Tail) -> None:
        """A partition up to its end, with what is under way held back as long as it is not too much."""
        async for _ in self._records(tail):
            if tail.events >= self._sizes.events_a_write:
                stretch = self._take(tail)
                if stretch is not None:
                    ended, held = split(stretch.changes)
                    if len(held.executions) > self._sizes.most_held:
                        ended, held = stretch.changes, Changes()
                        await self._sql(self._next.add_keys)
                    tail.hold(held)
                    await self._write(ended)
        rest = self._take(tail, everything=True)
        if rest is not None:
            await self._write(rest.changes)

    async def _catch_up(self) -> bool:
        """Fold what was appended meanwhile; False once that was little."""
        before = self._ends
        await self._look_for_ends()
        for tail in self._tails:
            async for _ in self._records(tail):
                if (stretch := self._take(tail)) is not None:
                    await self._write(stretch.changes)
        await self._written()
        return any(self._ends[source] - end > CLOSE_ENOUGH for source, end in before.items())

    async def _records(self, tail: Tail) -> AsyncGenerator[None, None]:
        """Feed the tail up to the end that is known, and come back after each batch. Raises `ChainBroken`."""
        if tail.next_offset >= self._ends[tail.source]:
            return
        async with (
            LogReader(self._settings, *tail.source) as reader,
            aclosing(reader.batches(tail.next_offset, self._ends[tail.source], most=self._sizes.records_at_once)) as batches,
        ):
            async for batch in batches:
                before = tail.events
                tail.feed(batch.records)
                if tail.broken is not None:
                    raise tail.broken
                self._read += len(batch.records)
                self._events += tail.events - before
                self._tell("folding")
                yield

    def _take(self, tail: Tail, *, everything: bool = False) -> Stretch | None:
        stretch = tail.take(always=everything)
        if stretch is not None:
            self._reached[tail.source] = stretch
        return stretch

    async def _write(self, changes: Changes) -> None:
        """In the background: the next ones are folded meanwhile."""
        await self._written()
        self._writing = asyncio.get_running_loop().run_in_executor(self._executor, self._write_now, changes)

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _write_now(self, changes: Changes) -> None:
        try:
            self._write_rows(changes, again=False)
        except UniqueViolation:
            self._write_rows(changes, again=True)

    def _write_rows(self, changes: Changes, *, again: bool) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for statements, rows_of in self._tables:
                write_table(cursor, statements, [rows_of(changes)], again=again, keyed=self._next.keyed)

    async def _sql(self, act: Callable[[], None]) -> None:
        await self._written()
        await asyncio.get_running_loop().run_in_executor(self._executor, act)

    def _tell(self, phase: str) -> Progress:
        progress = Progress(phase, self._read, sum(self._ends.values()), self._events, time.monotonic() - self._began)
        self._report(progress)
        return progress


def split(changes: Changes) -> tuple[Changes, Changes]:
    """What will not change any more, and what may. Rows that the folds keep are few and stay until the end."""
    held = Changes(definitions=changes.definitions, statuses=changes.statuses, pauses=changes.pauses, bulk_acts=changes.bulk_acts)
    ended = Changes(versions=changes.versions, outcomes=changes.outcomes, ticks=changes.ticks)
    for key, row in changes.executions.items():
        (ended if isinstance(row[_FINISHED], int) else held).executions[key] = row
    for key, row in changes.attempts.items():
        (held if key[0] in held.executions else ended).attempts[key] = row
    return ended, held
