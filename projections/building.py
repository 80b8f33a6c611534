"""The set of tables that a rebuild makes: rows in bulk and without keys first, then keys, then as the consumer writes them.

Until the set is sealed, rows that may still change are held back by the fold; so that it can go on after a kill, they stand in tables of
their own (`_held`), written at each checkpoint in one transaction with the final rows and the position. A kill costs what came since. The
seal writes what was held, and takes those tables away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from ledger.core.refusal import Conflict
from ledger.crashpoints import crash_point
from ledger.kafka.opening import LogIdentity
from projections.memory import Memory, together
from projections.patches import Changes, Source
from projections.places import Opened, sources
from projections.positions import PositionRows
from projections.projection import HELD, NEXT, Projection
from projections.retention import Horizons, Retention
from projections.statements import statements_for
from projections.stored import StoredRows, written_by
from projections.swapping import Swap
from projections.table_sets import TableSet
from projections.tail import Stretch
from projections.writing import SESSION, copy_rows, write_table

FASTER: Final = "SET maintenance_work_mem = '256MB'"


@dataclass(frozen=True, slots=True)
class Resumed:
    """A partition of a build: where it stands, and what was held back there."""

    opened: Opened
    held: Changes


class Building:
    """`connection` is in autocommit and belongs to the build alone; used by one thread at a time."""

    def __init__(self, connection: Connection[TupleRow], schema: str, projection: Projection, keep: Mapping[str, int]) -> None:
        """`keep`: of ended executions, in milliseconds by state."""
        self.keyed = False
        self.horizons: Horizons = {}
        self._keep = keep
        self._retention = Retention(schema, projection.name + NEXT)
        self._connection = connection
        self._projection = projection
        self._schema = schema
        self._swap = Swap(connection, schema, projection)
        self._next = TableSet(connection, schema, projection, NEXT)
        self._held = TableSet(connection, schema, projection, NEXT + HELD)
        self._positions = PositionRows(schema, projection, NEXT)
        self._tables = tuple((statements_for(form, schema, NEXT), rows_of) for form, rows_of in projection.tables)
        self._kept = tuple((statements_for(form, schema, NEXT + HELD), rows_of) for form, rows_of in projection.tables)
        self._in_transaction = False

    def open(self, identity: LogIdentity, *, begin: bool) -> list[Resumed]:
        """What was begun before, or from the first commit on. `begin`: also where there is nothing to go on with. Raises `Conflict`."""
        self._swap.claim()
        for setting in (*SESSION, FASTER):
            self._connection.execute(setting)
        if not self._is_resumable(identity):
            if not begin:
                raise Conflict(f"no tables of {self._projection.name!r} are built: `jobledger projections rebuild` builds them")
            self._begin(identity)
        self.horizons = self._retention.read(self._connection)
        for statements, _ in self._tables:
            self._connection.execute(statements.create_stage)
        if not self._held.is_there():
            self._add_keys()
        return [self._resume(source) for source in sources(identity)]

    def write(self, changes: Changes, checkpoint: Stretch | None, held: Changes | None = None) -> None:
        """Rows that are final; with a `checkpoint` what is `held` too, and the position: from then on a kill costs nothing of it."""
        if self.keyed:
            self._write_keyed(changes, checkpoint)
            return
        self._begin_transaction()
        self._rows(changes, again=False)
        if checkpoint is not None:
            self._hold(checkpoint.source, held or Changes())
            self._positions.write(self._connection, checkpoint)
            crash_point("rebuild:before-checkpoint")
            self._commit()
            crash_point("rebuild:after-checkpoint")

    def seal(self, stretches: Sequence[Stretch]) -> None:
        """Write what every partition held back, and go on with keys."""
        self._begin_transaction()
        for stretch in stretches:
            self._rows(stretch.changes, again=False)
            self._positions.write(self._connection, stretch)
        self._held.drop()
        self._commit()
        self._add_keys()

    def add_indexes(self) -> None:
        crash_point("rebuild:before-indexes")
        self._next.add_indexes()

    def swap(self, *, keep: bool) -> None:
        crash_point("rebuild:before-swap")
        self._swap.bring_in(NEXT, keep=keep)

    def _is_resumable(self, identity: LogIdentity) -> bool:
        """Of this version and shape, and of this log."""
        if self._positions.versions(self._connection) != {self._projection.version}:
            return False
        found = [self._positions.read(self._connection, source) for source in sources(identity)]
        if any(one is None or (one.seq and one.log_id != identity.log_id) for one in found):
            return False
        return self._next.is_there()

    def _begin(self, identity: LogIdentity) -> None:
        with self._connection.transaction():
            self._connection.execute(
                SQL("DELETE FROM {} WHERE projection = %s").format(Identifier(self._schema, "projection_positions")),
                (self._projection.name + NEXT,),
            )
            self._retention.forget(self._connection)
            self._retention.advance(self._connection, self._keep)
            self._next.create()
            self._held.create()
            for source in sources(identity):
                self._positions.create(self._connection, source)

    def _resume(self, source: Source) -> Resumed:
        position = self._positions.read(self._connection, source)
        assert position is not None
        if not position.seq:
            return Resumed(Opened(source, position, Memory()), Changes())
        memory = self._projection.remember(StoredRows(self._connection, self._schema, NEXT), source)
        held = Changes()
        if not self.keyed:
            stored = StoredRows(self._connection, self._schema, NEXT + HELD)
            memory = together(memory, self._projection.remember(stored, source))
            for form, rows_of in self._projection.tables:
                rows_of(held).update(stored.kept(form, source))
        return Resumed(Opened(source, position, memory), held)

    def _begin_transaction(self) -> None:
        if not self._in_transaction:
            self._connection.execute("BEGIN")
            self._in_transaction = True

    def _commit(self) -> None:
        self._connection.execute("COMMIT")
        self._in_transaction = False

    def _add_keys(self) -> None:
        crash_point("rebuild:before-keys")
        self._next.add_keys()
        self.keyed = True

    def _write_keyed(self, changes: Changes, checkpoint: Stretch | None) -> None:
        for again in (False, True):
            try:
                with self._connection.transaction():
                    self._rows(changes, again=again)
                    if checkpoint is not None:
                        self._positions.write(self._connection, checkpoint)
                    crash_point("rebuild:before-catch-up-commit")
                return
            except UniqueViolation:
                if again:
                    raise

    def _rows(self, changes: Changes, *, again: bool) -> None:
        with self._connection.cursor() as cursor:
            for statements, rows_of in self._tables:
                write_table(cursor, statements, [rows_of(changes)], again=again, keyed=self.keyed)

    def _hold(self, source: Source, held: Changes) -> None:
        """In the place of what was held of this source before."""
        with self._connection.cursor() as cursor:
            for statements, rows_of in self._kept:
                form = statements.form
                if form.log not in (None, source[0]):
                    continue
                cursor.execute(SQL("DELETE FROM {} WHERE {}").format(self._held.named(form), written_by(form, source)))
                rows = [row for row in rows_of(held).values() if row]
                if rows:
                    copy_rows(cursor, statements.copy, statements.whole, rows)


def copied(changes: Changes, projection: Projection) -> Changes:
    """As it is now: the fold goes on changing the rows that it holds."""
    copy = Changes()
    for _, rows_of in projection.tables:
        rows_of(copy).update({key: list(row) for key, row in rows_of(changes).items()})
    return copy
