"""The tables compared with the log, row by row: it is folded again up to where the tables stand, one partition at a time.

Memory is bounded: rows that ended are compared and forgotten, those under way are held, or put aside in Postgres where they are too many.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core.chain import Head
from ledger.core.refusal import Conflict, Misconfigured
from ledger.kafka.opening import LogIdentity, check_identity
from projections.behind import Behind
from projections.builtin import TABLES
from projections.comparing import Compared, Comparison, Pair
from projections.connecting import connected
from projections.differences import Difference, differences_of, of_position, source_of
from projections.memory import Memory
from projections.one_moment import see_one_moment
from projections.patches import Changes, Form, Key, Source
from projections.places import sources
from projections.positions import Position, PositionRows
from projections.projection import LIVE, Projection
from projections.retention import Retention
from projections.strangers import Strangers
from projections.sweeping import USUAL, Sizes, Sweep, end_of
from projections.table_sets import TableSet
from projections.tail import Reached, Tail

MOST_KEPT: Final = 50_000  # differences that a later event of the same partition may still take back
STRANGERS_AT_ONCE: Final = 1_000


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
AtEnd = Callable[[Connection[TupleRow], Mapping[Source, Reached]], None]  # with what the tables were compared up to


async def verify(
    settings: Settings,
    verified: Verified,
    report: Report = lambda verified: None,
    projection: Projection = TABLES,
    suffix: str = LIVE,
    sizes: Sizes = USUAL,
    at_end: AtEnd = lambda connection, reached: None,
) -> AsyncGenerator[Difference, None]:
    """Each difference; `verified` counts. `suffix`: of the tables, where they are not the live ones. `at_end` is called in
    the transaction in which all was compared. Raises `ChainBroken`, `Conflict`, `Unavailable`, `Misconfigured`."""
    identity = await check_identity(settings)
    with connected(settings) as connection, Behind("verify-sql", connection) as behind:
        if projection is not TABLES and not TableSet(connection, settings.database.table_schema, projection, suffix).is_there():
            raise Misconfigured(
                f"projection {projection.name!r} has no tables of version {projection.version}: "
                f"`jobledger projections run {projection.name}` makes them, and folds the log into them"
            )
        work = _Verification(settings, identity, projection, suffix, connection, behind, verified, report, sizes, at_end)
        async with aclosing(work.run()) as differences:
            async for one in differences:
                verified.differences += 1
                yield one


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
        at_end: AtEnd,
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
        self._at_end = at_end
        self._reached: dict[Source, Reached] = {}
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
        await self._behind.do(lambda: self._at_end(self._connection, self._reached))
        self._tell()

    def _open(self) -> dict[Source, Position]:
        connection = self._connection
        see_one_moment(connection, self._schema, self._projection, self._suffix)
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
        self._reached[source] = tail.reached
        for difference in [*of_position(source, position, tail.reached), *self._told(source)]:
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
                written = source_of(pair.form, pair.found)
                self._take_off(pair.form, written, 1)
                if written != source:
                    self._elsewhere.add((pair.form.table, pair.key))
            yield from differences_of(source, pair)

    async def _look_for_strangers(self, source: Source, end: int) -> AsyncGenerator[Difference, None]:
        await self._behind.do(self._strangers.begin)
        tail = self._tail(source)
        async with aclosing(self._sweep.over(tail, end)) as batches:
            async for _ in batches:
                if tail.events >= self._sizes.events_a_write:
                    await self._see(tail)
        await self._see(tail)
        found = self._strangers.found(source)  # read as they are told: they may be more than there is memory for
        while pairs := await self._behind.do(lambda: list(islice(found, STRANGERS_AT_ONCE))):
            for pair in pairs:
                if (pair.form.table, pair.key) not in self._elsewhere:
                    for difference in differences_of(source, pair):
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
