"""The rows of our tables that the commits since the last comparison touched, compared with the log.

The fold goes on from the rows that were kept then (`base.py`), so what it costs is that of the new commits, and that of the registry, which
is folded from its first one. What no commit touched is not looked at, nor are rows that no event has written: `verify.py` finds those.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from msgspec import structs
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from ledger.config import Settings
from ledger.core.audit_saved import SavedRows, SavedTables
from ledger.core.chain import Head, digest
from ledger.core.refusal import Conflict
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import LogIdentity, check_identity
from projections.base import BODIES, Base, Fingerprint, base_of, saved_of
from projections.behind import Behind
from projections.builtin import TABLES
from projections.comparing import Comparison, Pair
from projections.connecting import connected
from projections.differences import NOTHING, POSITIONS, Difference, differences_of, of_position
from projections.forms import EXECUTIONS, PAUSES
from projections.memory import Memory
from projections.one_moment import see_one_moment
from projections.patches import Changes, Key, Patch, Rows, Source
from projections.positions import Position, PositionRows
from projections.projection import LIVE
from projections.retention import Retention
from projections.statements import encoding_of
from projections.stored import StoredRows, read_rows
from projections.sweeping import USUAL, Sizes, Sweep, end_of
from projections.tail import Reached, Tail
from projections.verify import MOST_KEPT

Told = Callable[[Difference], None]
BODIES_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Touched:
    """What was compared: `rows`, which so many `commits` touched. In `behind` partitions the tables stand before what was compared last:
    nothing was, there. `saved`: to go on from."""

    rows: int
    commits: int
    behind: int
    saved: SavedTables


async def compare_touched(settings: Settings, since: SavedTables, told: Told, sizes: Sizes = USUAL) -> Touched:
    """Up to where the tables stand. `told` hears each difference. Raises `ChainBroken`, `Conflict`, `Unavailable`, `Misconfigured`."""
    identity = await check_identity(settings)
    with connected(settings) as connection, Behind("touched-sql", connection) as behind:
        work = _Touched(settings, identity, connection, behind, told, sizes)
        saved = structs.replace(since, partitions=await work.go_on(since.partitions))
        return Touched(work.rows, work.commits, work.behind, saved)


class _Touched:
    def __init__(
        self, settings: Settings, identity: LogIdentity, connection: Connection[TupleRow], behind: Behind, told: Told, sizes: Sizes
    ) -> None:
        self.rows = self.commits = self.behind = 0
        self._settings, self._identity = settings, identity
        self._connection, self._sql = connection, behind
        self._schema = settings.database.table_schema
        self._told = told
        self._sizes = sizes
        self._sweep = Sweep(settings, sizes, lambda: None)
        self._pairs: dict[tuple[str, Key], Pair] = {}  # of the partition that is folded

    async def go_on(self, saved: list[SavedRows]) -> list[SavedRows]:
        stand = await self._sql.do(lambda: self._open([(one.head.log, one.head.partition) for one in saved]))
        return [await self._partition(one, stand[one.head.log, one.head.partition]) for one in saved]

    def _open(self, sources: list[Source]) -> dict[Source, Position]:
        connection, positions = self._connection, PositionRows(self._schema, TABLES)
        see_one_moment(connection, self._schema, TABLES, LIVE)
        positions.check_version(connection)
        horizons = Retention(self._schema, TABLES.name).read(connection)
        self._comparison = Comparison(connection, self._schema, TABLES, LIVE, horizons)
        return {source: positions.read(connection, source) or Position("", 0, -1, "") for source in sources}

    async def _partition(self, saved: SavedRows, position: Position) -> SavedRows:
        source = saved.head.log, saved.head.partition
        if position.seq and position.log_id != self._identity.log_id:
            raise Conflict(
                f"the tables were folded from log {position.log_id}, the present one is {self._identity.log_id}: "
                "run `jobledger projections rebuild`"
            )
        if position.seq < saved.head.seq:
            self.behind += 1
            await self._see_position(source, position)
            return saved
        base = base_of(saved) if source[0] == "events" else await self._folded(saved)
        tail = Tail(self._identity.log_id, base.reached, TABLES.fold(source[0], self._identity.partitions, base.memory))
        tail.hold(base.held)
        await self._compare(tail, saved.head.seq, min(position.offset + 1, await end_of(self._settings, source)))
        for difference in [*of_position(source, position, tail.reached), *self._take_differences(source)]:
            self._told(difference)
        self.commits += tail.reached.head.seq - saved.head.seq
        return saved_of(replace(base, reached=tail.reached, held=tail.changes))

    async def _folded(self, saved: SavedRows) -> Base:
        """The registry's rows up to there. They are few beside the executions, and folded as quickly as they were read from a file."""
        memory = Memory()
        tail = Tail(self._identity.log_id, Reached(Head("registry", 0)), TABLES.fold("registry", self._identity.partitions, memory))
        async with aclosing(self._sweep.over(tail, saved.offset + 1)) as batches:
            async for _ in batches:
                tail.take()
        return Base(tail.reached, memory, Changes())

    async def _compare(self, tail: Tail, since: int, end: int) -> None:
        source = tail.source
        async with aclosing(self._sweep.over(tail, end)) as batches:
            async for _ in batches:
                if tail.events >= self._sizes.events_a_write:
                    ended = self._hold(tail)
                    await self._sql.start(partial(self._look_for, source, ended))
                    if len(self._pairs) > MOST_KEPT:
                        for difference in self._take_differences(source):
                            self._told(difference)
        ended = self._hold(tail)
        await self._sql.do(lambda: self._look_for(source, ended))
        await self._sql.do(lambda: self._look_for(source, _touched(tail.changes, since)))

    def _hold(self, tail: Tail) -> Changes:
        """What will not change any more; the rest stays."""
        stretch = tail.take(always=True)
        assert stretch is not None
        ended, held = TABLES.split(stretch.changes)
        tail.hold(held)
        return ended

    def _look_for(self, source: Source, changes: Changes) -> None:
        for form, rows_of in TABLES.tables:
            for key in rows_of(changes):
                self._pairs.pop((form.table, key), None)  # what comes again counts anew
        self._give_bodies(changes.executions)
        for compared in self._comparison.compare(changes):
            self.rows += compared.rows
            for pair in compared.pairs:
                self._pairs[pair.form.table, pair.key] = pair
        if gone := [key for key, row in changes.pauses.items() if not row]:
            self.rows += len(gone)
            there = StoredRows(self._connection, self._schema).kept(PAUSES, source)
            for key in gone:
                if key in there:
                    self._pairs[PAUSES.table, key] = Pair(PAUSES, key, None, there[key])

    def _give_bodies(self, executions: Rows) -> None:
        """Where a fingerprint stands, the document that the table has, if it is that one."""
        without = [key for key, row in executions.items() if any(isinstance(row[place], Fingerprint) for place in BODIES)]
        for first in range(0, len(without), BODIES_AT_ONCE):
            for found in self._found(without[first : first + BODIES_AT_ONCE]):
                row = executions[str(found[0])]
                for place, body in zip(BODIES, found[1:], strict=True):
                    if isinstance(print_ := row[place], Fingerprint) and isinstance(body, bytes) and Fingerprint.of(body) == print_:
                        row[place] = body

    def _found(self, keys: list[Key]) -> list[Patch]:
        columns = (EXECUTIONS.columns[0], *(EXECUTIONS.columns[place] for place in BODIES))
        query = SQL("SELECT {} FROM {} WHERE execution_id = ANY({})").format(
            SQL(", ").join(map(Identifier, columns)), Identifier(self._schema, EXECUTIONS.table), list(keys)
        )
        return list(read_rows(self._connection, query, encoding_of(EXECUTIONS, columns)))

    def _take_differences(self, source: Source) -> list[Difference]:
        pairs, self._pairs = self._pairs, {}
        return [difference for pair in pairs.values() for difference in differences_of(source, pair)]

    async def _see_position(self, source: Source, position: Position) -> None:
        """It has to be a commit of the log, wherever it is."""
        if position.seq == 0:
            return
        async with LogReader(self._settings, *source) as reader:
            record = await reader.at(position.offset)
        there = NOTHING if record is None else digest(record.value or b"")
        if there != position.digest:
            self._told(
                Difference(POSITIONS, source, "digest", there, position.digest, f"{source[0]}[{source[1]}] at offset {position.offset}")
            )


def _touched(held: Changes, since: int) -> Changes:
    """Those that a commit behind number `since` has changed. (Rows that the folds keep are in changes only if one has.)"""
    return replace(
        held,
        executions={key: row for key, row in held.executions.items() if _seq(row) > since},
        attempts={key: row for key, row in held.attempts.items() if _seq(row) > since},
    )


def _seq(row: Patch) -> int:
    seq = row[-3]
    assert isinstance(seq, int)
    return seq
