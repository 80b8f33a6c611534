"""The tables compared with the log, row by row: it is folded again up to where the tables stand, one partition at a time.

Memory is bounded: rows that ended are compared and forgotten, those under way are held, or put aside in Postgres where they are too many.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import orjson
from psycopg import Connection, IsolationLevel, OperationalError
from psycopg.errors import InvalidSchemaName, UndefinedColumn, UndefinedTable
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from ledger.config import Settings
from ledger.core.chain import Head
from ledger.core.refusal import Conflict
from ledger.kafka.opening import LogIdentity, check_identity
from projections.behind import Behind
from projections.builtin import TABLES
from projections.comparing import Compared, Comparison, Pair
from projections.connecting import connect, not_upgraded, unavailable
from projections.memory import Memory
from projections.patches import Changes, Form, Key, Patch
from projections.places import sources
from projections.positions import Position, PositionRows
from projections.projection import LIVE, Projection
from projections.retention import Retention
from projections.statements import encoding_of
from projections.strangers import Strangers
from projections.sweeping import USUAL, Sizes, Sweep, end_of
from projections.tail import Reached, Source, Tail
from projections.writing import SESSION

NOTHING: Final = "no row"
POSITIONS: Final = "projection_positions"
MOST_KEPT: Final = 50_000  # differences that a later event of the same partition may still take back


@dataclass(frozen=True, slots=True)
class Difference:
    """`column` is None where a row is missing or there is one too many. The address is that of the event that wrote the row last."""

    table: str
    key: Key
    column: str | None
    expected: object
    found: object
    address: str

    def __str__(self) -> str:
        where = f"{self.table} {self.key}" + (f" {self.column}" if self.column else "")
        return f"{where}: expected {self.expected!r}, found {self.found!r} (event {self.address})"


@dataclass(slots=True)
class Verified:
    """What was compared, and how far it is: `records` of the log read, out of so many, and the seconds that are left."""

    rows: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    differences: int = 0
    events: int = 0
    records: int = 0
    of: int = 0
    seconds: float = 0.0
    left: float | None = None


Report = Callable[[Verified], None]


async def verify(
    settings: Settings,
    verified: Verified,
    report: Report = lambda verified: None,
    projection: Projection = TABLES,
    suffix: str = LIVE,
    sizes: Sizes = USUAL,
) -> AsyncGenerator[Difference, None]:
    """Each difference; `verified` counts. `suffix`: of the tables, where they are not the live ones. Raises `ChainBroken`, `Conflict`,
    `Unavailable`, `Misconfigured`."""
    identity = await check_identity(settings)
    connection = connect(settings)
    try:
        with Behind("verify-sql") as behind:
            work = _Verification(settings, identity, projection, suffix, connection, behind, verified, report, sizes)
            async with aclosing(work.run()) as differences:
                async for one in differences:
                    verified.differences += 1
                    yield one
    except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
        raise not_upgraded(settings) from error
    except OperationalError as error:
        raise unavailable(settings, error) from error
    finally:
        connection.close()


class _Verification:
    def __init__(
        self,
        settings: Settings,
        identity: LogIdentity,
        projection: Projection,
        suffix: str,
        connection: Connection[TupleRow],
        behind: Behind,
        verified: Verified,
        report: Report,
        sizes: Sizes,
    ) -> None:
        schema = settings.database.table_schema
        self._settings = settings
        self._identity = identity
        self._projection = projection
        self._behind = behind
        self._connection = connection
        self._schema = schema
        self._suffix = suffix
        self._verified = verified
        self._report = report
        self._sizes = sizes
        self._sweep = Sweep(settings, sizes, self._tell)
        self._positions = PositionRows(schema, projection, suffix)
        self._strangers = Strangers(connection, schema, projection, suffix)
        self._there: dict[tuple[str, Source], int] = {}  # rows, less those that were looked for and found
        self._pairs: dict[tuple[str, Key], Pair] = {}  # of the partition that is folded
        self._elsewhere: set[tuple[str, Key]] = set()  # rows that say they were written by another partition than they were

    async def run(self) -> AsyncGenerator[Difference, None]:
        stand = await self._behind.do(self._open)
        ends = {source: min(position.offset + 1, await end_of(self._settings, source)) for source, position in stand.items()}
        self._sweep.of = sum(ends.values())
        for source, position in stand.items():
            async for difference in self._compare(source, position, ends[source]):
                yield difference
        for source in sorted({source for (_, source), many in self._there.items() if many > 0}):
            async for difference in self._look_for_strangers(source, ends.get(source, 0)):
                yield difference
        self._tell()

    def _open(self) -> dict[Source, Position]:
        """One moment: locked before it begins, so that no swap comes between the tables."""
        connection = self._connection
        connection.autocommit = False
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        tables = [POSITIONS, *(form.table + self._suffix for form in self._projection.forms)]
        names = SQL(", ").join(Identifier(self._schema, table) for table in tables)
        connection.execute(SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        for setting in SESSION:
            connection.execute(setting)
        self._positions.check_version(connection)
        self._there = self._strangers.count()
        for (table, _), count in self._there.items():
            self._verified.rows[table] = self._verified.rows.get(table, 0) + count
        horizons = Retention(self._schema, self._projection.name + self._suffix).read(connection)
        self._comparison = Comparison(connection, self._schema, self._projection, self._suffix, horizons)
        return {source: self._positions.read(connection, source) or Position("", 0, -1, "") for source in sources(self._identity)}

    async def _compare(self, source: Source, position: Position, end: int) -> AsyncGenerator[Difference, None]:
        if position.seq and position.log_id != self._identity.log_id:
            raise Conflict(
                f"the tables were folded from log {position.log_id}, the present one is {self._identity.log_id}: "
                "run `jobledger projections rebuild`"
            )
        self._verified.commits += position.seq
        tail = self._tail(source)
        async with aclosing(self._sweep.over(tail, end)) as batches:
            async for _ in batches:
                if tail.events >= self._sizes.events_a_write:
                    await self._piece(tail, source)
                    if len(self._pairs) > MOST_KEPT:
                        for difference in self._told(source):
                            yield difference
        await self._piece(tail, source, at_end=True)
        await self._behind.do(lambda: self._settle(source, self._comparison.compare_parked()))
        for difference in [*_of_position(source, position, tail.reached), *self._told(source)]:
            yield difference

    async def _piece(self, tail: Tail, source: Source, *, at_end: bool = False) -> None:
        stretch = tail.take(always=True)
        assert stretch is not None
        changes = stretch.changes
        if not at_end:
            changes, held = self._projection.split(changes)
            if len(held) > self._sizes.most_held:
                await self._behind.do(lambda: self._comparison.park(held))
            tail.hold(held)
        await self._behind.start(lambda: self._look_for(source, changes))

    def _look_for(self, source: Source, changes: Changes) -> None:
        if self._pairs:  # what comes again counts anew
            for form, rows_of in self._projection.tables:
                for key in rows_of(changes):
                    self._pairs.pop((form.table, key), None)
        self._settle(source, self._comparison.compare(changes))

    def _settle(self, source: Source, compared: Sequence[Compared]) -> None:
        for form, rows, pairs in compared:
            self._take_off(form, source, rows - len(pairs))
            for pair in pairs:
                self._pairs[form.table, pair.key] = pair

    def _take_off(self, form: Form, source: Source, rows: int) -> None:
        place = (form.table, source)
        self._there[place] = self._there.get(place, 0) - rows

    def _told(self, source: Source) -> Iterator[Difference]:
        pairs, self._pairs = self._pairs, {}
        for pair in pairs.values():
            if pair.found is not None:
                written = _source_of(pair.form, pair.found)
                self._take_off(pair.form, written, 1)
                if written != source:
                    self._elsewhere.add((pair.form.table, pair.key))
            yield from _differences(source, pair)

    async def _look_for_strangers(self, source: Source, end: int) -> AsyncGenerator[Difference, None]:
        await self._behind.do(self._strangers.begin)
        tail = self._tail(source)
        async with aclosing(self._sweep.over(tail, end)) as batches:
            async for _ in batches:
                if tail.events >= self._sizes.events_a_write:
                    await self._see(tail)
        await self._see(tail)
        for pair in await self._behind.do(lambda: list(self._strangers.found(source))):
            if (pair.form.table, pair.key) not in self._elsewhere:
                for difference in _differences(source, pair):
                    yield difference

    async def _see(self, tail: Tail) -> None:
        stretch = tail.take(always=True)
        assert stretch is not None
        changes = stretch.changes
        await self._behind.start(lambda: self._strangers.see(changes))

    def _tail(self, source: Source) -> Tail:
        return Tail(self._identity.log_id, Reached(Head(*source)), self._projection.fold(source[0], self._identity.partitions, Memory()))

    def _tell(self) -> None:
        verified, sweep = self._verified, self._sweep
        verified.events, verified.records, verified.of = sweep.events, sweep.records, sweep.of
        verified.seconds, verified.left = sweep.seconds, sweep.left
        self._report(verified)


def _differences(source: Source, pair: Pair) -> Iterator[Difference]:
    form, key = pair.form, pair.key
    if pair.expected is None or pair.found is None:
        row = pair.expected or pair.found
        assert row is not None
        named = form.named(row)
        expected, found = (named, NOTHING) if pair.found is None else (NOTHING, named)
        yield Difference(form.table, key, None, expected, found, _address(source, row))
        return
    documents = frozenset(encoding_of(form, form.columns).documents)
    for place, (wanted, is_there) in enumerate(zip(pair.expected, pair.found, strict=True)):
        if wanted != is_there and not (place in documents and _same_document(wanted, is_there)):
            yield Difference(form.table, key, form.columns[place], wanted, is_there, _address(source, pair.expected))


def _of_position(source: Source, position: Position, reached: Reached) -> Iterator[Difference]:
    """The position has to be a commit of the log. (Voids behind it may have been counted already.)"""
    head = reached.head
    log = (("log_seq", head.seq), ("log_offset", reached.offset), ("digest", head.digest))
    there = (position.seq, position.offset, position.digest)
    for (column, wanted), found in zip(log, there, strict=True):
        if wanted != found:
            address = f"{source[0]}[{source[1]}] seq {head.seq} at offset {reached.offset}"
            yield Difference(POSITIONS, source, column, wanted, found, address)


def _source_of(form: Form, row: Patch) -> Source:
    """Which partition the row says has written it."""
    log = form.log or row[form.columns.index("log")]
    return str(log), int(str(row[-4]))


def _same_document(wanted: object, found: object) -> bool:
    """Postgres keeps a document in a form of its own: the spelling of numbers is not kept."""
    return isinstance(wanted, bytes) and isinstance(found, bytes) and bool(orjson.loads(wanted) == orjson.loads(found))


def _address(source: Source, row: Patch) -> str:
    _, seq, index, offset = row[-4:]
    return f"{source[0]}[{source[1]}] seq {seq!r} index {index!r} at offset {offset!r}"
