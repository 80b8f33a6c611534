"""Writing folded stretches of the log to the tables: one transaction for rows and positions, a COPY a table, one UPDATE a kind of patch.

Under load `synchronous_commit` is off: a crash of Postgres may lose the last transactions, but whole ones, rows and position together, and
the log is the authority from which they come again. What is written last before a pause is durable, and with it all before it.

Whole rows are new as a rule and are copied straight into the table; where one is there already (an execution was asked for again after
control forgot it) everything is done again by way of a stage. Patches that set the same columns go to a stage and from there by one UPDATE
of these columns. Rows that the folds keep are few and replaced by way of the stage.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import Connection, Cursor
from psycopg.errors import UniqueViolation
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from ledger.crashpoints import crash_point
from projections.builtin import TABLES
from projections.memory import Memory
from projections.patches import Contradiction, Key, Patch, Rows, Source, Value, is_whole
from projections.positions import Applied, Outcome, Position, PositionRows, judge
from projections.projection import Projection
from projections.statements import JSONB_VERSION, POSTGRES_EPOCH, Change, Encoding, Statements, statements_for
from projections.stored import StoredRows
from projections.table_sets import TableSet
from projections.tail import Stretch

SESSION = (
    "SET synchronous_commit = off",
    "SET enable_hashjoin = off",  # patches find their rows by key, however large the table has become
    "SET enable_mergejoin = off",
    "SET client_encoding = 'UTF8'",
)


class Writer:
    """Owns a connection of its own (autocommit, so that transactions are explicit); used by one thread at a time."""

    def __init__(self, connection: Connection[TupleRow], schema: str, projection: Projection = TABLES) -> None:
        self.connection = connection
        self.projection = projection
        self.positions = PositionRows(schema, projection)
        self.positions.check_version(connection)
        if projection is not TABLES:  # ours are made by `jobledger db upgrade`
            TableSet(connection, schema, projection).make()
        self._stored = StoredRows(connection, schema)
        self._tables = tuple((statements_for(form, schema), rows_of) for form, rows_of in projection.tables)
        for setting in SESSION:
            connection.execute(setting)
        for statements, _ in self._tables:
            connection.execute(statements.create_stage)

    def open(self, source: Source) -> tuple[Position, Memory]:
        """The position of a source, made if there was none, and what its fold knew there."""
        with self.connection.transaction():
            position = self.positions.open(self.connection, source)
            return position, self.projection.remember(self._stored, source) if position.seq else Memory()

    def apply(self, stretches: Sequence[Stretch], *, durable: bool = False) -> dict[Source, Outcome]:
        """Write what follows the tables' positions, at most one stretch a source; the outcome says what became of each. `durable`: it
        survives a crash of Postgres from now on."""
        crash_point("projection:before-sql")
        try:
            outcomes = self._apply(stretches, durable, again=False)
        except UniqueViolation:
            outcomes = self._apply(stretches, durable, again=True)
        crash_point("projection:after-sql-commit")
        return outcomes

    def _apply(self, stretches: Sequence[Stretch], durable: bool, *, again: bool) -> dict[Source, Outcome]:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            if durable:
                cursor.execute("SET LOCAL synchronous_commit = on")
            in_order = sorted(stretches, key=lambda stretch: stretch.source)  # locks are taken in one order by everybody
            outcomes = {one.source: judge(one, self.positions.lock(self.connection, one.source)) for one in in_order}
            mine = [one for one in in_order if isinstance(outcomes[one.source], Applied)]
            for statements, rows_of in self._tables:
                write_table(cursor, statements, [rows_of(one.changes) for one in mine], again=again)
            for one in mine:
                self.positions.write(self.connection, one)
            crash_point("projection:before-sql-commit")
        return outcomes


def write_table(cursor: Cursor[TupleRow], statements: Statements, changed: Sequence[Rows], *, again: bool, keyed: bool = True) -> None:
    """Bring one table up to date. `again`: rows that are whole may be there already. Not `keyed`: the table is new and has no key yet."""
    if statements.form.is_kept:
        _write_kept(cursor, statements, changed, keyed=keyed)
        return
    whole: list[Patch] = []
    partly: dict[tuple[int, ...], list[tuple[Key, Patch]]] = {}  # by the columns that they set
    set_by = statements.form.set_by
    for rows in changed:
        for key, patch in rows.items():
            if is_whole(patch):
                whole.append(patch)
            else:
                partly.setdefault(set_by(patch), []).append((key, patch))
    _write_whole(cursor, statements, whole, again=again)
    for places, patches in partly.items():
        _write_patches(cursor, statements, statements.change(places), patches)


def _write_kept(cursor: Cursor[TupleRow], statements: Statements, changed: Sequence[Rows], *, keyed: bool) -> None:
    """Rows that the folds keep come whole, and are there already as a rule; or they are gone."""
    _write_whole(cursor, statements, [row for rows in changed for row in rows.values() if row], again=keyed)
    gone = [key for rows in changed for key, row in rows.items() if not row]
    if gone and keyed:
        cursor.execute(statements.clear_stage)
        copy_rows(cursor, statements.copy_keys, statements.keys, map(_values, gone))
        cursor.execute(statements.delete)


def _write_patches(cursor: Cursor[TupleRow], statements: Statements, change: Change, patches: Sequence[tuple[Key, Patch]]) -> None:
    values = change.values
    cursor.execute(statements.clear_stage)
    copy_rows(cursor, change.copy, change.encoding, ((*_values(key), *values(patch)) for key, patch in patches))
    cursor.execute(change.update)
    if cursor.rowcount != len(patches):
        raise Contradiction(statements.form, cursor.execute(statements.missing).fetchall())


def _write_whole(cursor: Cursor[TupleRow], statements: Statements, whole: Sequence[Patch], *, again: bool) -> None:
    if whole and not again:
        copy_rows(cursor, statements.copy, statements.whole, whole)
    elif whole:
        cursor.execute(statements.clear_stage)
        copy_rows(cursor, statements.copy_stage, statements.whole, whole)
        cursor.execute(statements.replace)


def copy_rows(cursor: Cursor[TupleRow], copy: Composed, encoding: Encoding, rows: Iterable[Sequence[Any]]) -> None:
    """A binary COPY of rows whose values are the folds' own. (Any: the encoding knows which values are instants and which documents.)"""
    instants, documents = encoding.instants, encoding.documents
    with cursor.copy(copy) as stream:
        stream.set_types(encoding.types)
        write = stream.write_row
        for row in rows:
            values = list(row)
            for place in instants:
                if (instant := values[place]) is not None:
                    values[place] = instant - POSTGRES_EPOCH
            for place in documents:
                if (document := values[place]) is not None:
                    values[place] = JSONB_VERSION + document
            write(values)


def _values(key: Key) -> tuple[Value, ...]:
    return (key,) if isinstance(key, str) else key
