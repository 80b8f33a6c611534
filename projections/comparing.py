"""Rows of the fold compared with rows of the tables, in SQL: they are staged, joined by key, and only what differs comes back.

What ended is compared and forgotten. What is under way is held by the caller, or *parked* here in temporary tables, as whole rows that take
patches, where it is too much to be held.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Composed, Identifier

from projections.forms import EXECUTIONS
from projections.patches import Changes, Form, Key, Patch, Rows, is_whole
from projections.projection import Projection
from projections.retention import Horizons, may_be_missing
from projections.statements import Encoding, Statements, encoding_of, same_key, statements_for
from projections.stored import key_of, key_places, read_rows
from projections.writing import copy_rows, write_table

PARKED: Final = "_parked"
NO_HORIZONS: Final[Horizons] = {}


@dataclass(frozen=True, slots=True)
class Pair:
    """A row that differs. `found` is None where it is missing, `expected` where there is one too many."""

    form: Form
    key: Key
    expected: Patch | None
    found: Patch | None


class Compared(NamedTuple):
    """`rows` of the fold were looked for in a table (without those that need not be there and are not); all but these are there as they
    should be."""

    form: Form
    rows: int
    pairs: list[Pair]


@dataclass(frozen=True, slots=True)
class _Table:
    statements: Statements
    parked: Statements
    differing: Composed  # in the stage
    differing_parked: Composed
    not_kept: Composed | None  # counts those of the stage that are missing and may be
    not_kept_parked: Composed | None

    @property
    def form(self) -> Form:
        return self.statements.form


class Comparison:
    """`connection` is in one transaction that sees one moment; `suffix`: of the tables' names; `horizons`: of what need not be there."""

    def __init__(
        self, connection: Connection[TupleRow], schema: str, projection: Projection, suffix: str = "", horizons: Horizons = NO_HORIZONS
    ) -> None:
        self._connection = connection
        self._tables = tuple((_table(form, schema, suffix, horizons), rows_of) for form, rows_of in projection.tables)
        self._parked: set[str] = set()
        for table, _ in self._tables:
            connection.execute(table.statements.create_stage)

    def compare(self, changes: Changes) -> list[Compared]:
        """What is whole is looked for; patches of what was parked are applied there."""
        compared = []
        for table, rows_of in self._tables:
            rows = rows_of(changes)
            whole = [row for row in rows.values() if row and is_whole(row)]
            if whole:
                pairs = list(self._look_for(table, whole))
                compared.append(Compared(table.form, len(whole) - self._count(table.not_kept), pairs))
            if len(whole) < len(rows) and not table.form.is_kept:
                self._park(table, {key: row for key, row in rows.items() if not is_whole(row)})
        return compared

    def park(self, held: Changes) -> None:
        """Take over what is under way. Rows that the folds keep stay where they are: they are few."""
        for table, rows_of in self._tables:
            rows = rows_of(held)
            if rows and not table.form.is_kept:
                self._park(table, rows)
                rows.clear()

    def compare_parked(self) -> list[Compared]:
        """At the end of a partition: they are parked no more."""
        compared = []
        for table, _ in self._tables:
            if table.form.table in self._parked:
                name = Identifier("pg_temp", table.form.table + PARKED)
                rows = self._count(SQL("SELECT count(*) FROM {}").format(name)) - self._count(table.not_kept_parked)
                compared.append(Compared(table.form, rows, list(self._pairs(table, table.differing_parked))))
                self._connection.execute(SQL("TRUNCATE {}").format(name))
        return compared

    def _look_for(self, table: _Table, whole: Sequence[Patch]) -> Iterator[Pair]:
        statements = table.statements
        with self._connection.cursor() as cursor:
            cursor.execute(statements.clear_stage)
            copy_rows(cursor, statements.copy_stage, statements.whole, whole)
            if table.form.table in self._parked:
                cursor.execute(table.parked.delete)  # asked for again: what was parked counts no more
        yield from self._pairs(table, table.differing)

    def _count(self, query: Composed | None) -> int:
        found = None if query is None else self._connection.execute(query).fetchone()
        return 0 if found is None else int(found[0])

    def _pairs(self, table: _Table, query: Composed) -> Iterator[Pair]:
        form, places, width = table.form, key_places(table.form), len(table.form.columns)
        for both in read_rows(self._connection, query, _twice(encoding_of(form, form.columns), width)):
            expected, found = both[:width], both[width:]
            yield Pair(form, key_of(expected, places), expected, None if found[places[0]] is None else found)

    def _park(self, table: _Table, rows: Rows) -> None:
        form = table.form
        if form.table not in self._parked:
            self._connection.execute(
                SQL("CREATE TEMP TABLE {} (LIKE pg_temp.{}, PRIMARY KEY ({}))").format(
                    Identifier(form.table + PARKED), Identifier(f"stage_{form.table}"), SQL(", ").join(map(Identifier, form.key))
                )
            )
            self._parked.add(form.table)
        with self._connection.cursor() as cursor:
            write_table(cursor, table.parked, [rows], again=True)


def _table(form: Form, schema: str, suffix: str, horizons: Horizons) -> _Table:
    stage, parked = Identifier("pg_temp", f"stage_{form.table}"), Identifier("pg_temp", form.table + PARKED)
    there = Identifier(schema, form.table + suffix)
    absent = may_be_missing(form, horizons, Identifier(schema, EXECUTIONS.table + suffix))
    return _Table(
        statements_for(form, schema, suffix),
        statements_for(form, "pg_temp", PARKED),
        _differing(form, stage, there, absent),
        _differing(form, parked, there, absent),
        None if absent is None else _not_kept(form, stage, there, absent),
        None if absent is None else _not_kept(form, parked, there, absent),
    )


def _differing(form: Form, rows: Composable, there: Composable, absent: Composed | None) -> Composed:
    wanted, found = columns_of(form, "s"), columns_of(form, "t")
    unless = SQL("") if absent is None else SQL(" AND NOT (t.log_offset IS NULL AND {})").format(absent)
    return SQL("SELECT {}, {} FROM {} AS s LEFT JOIN {} AS t ON {} WHERE ROW({}) IS DISTINCT FROM ROW({}){}").format(
        wanted, found, rows, there, same_key(form), found, wanted, unless
    )


def _not_kept(form: Form, rows: Composable, there: Composable, absent: Composed) -> Composed:
    return SQL("SELECT count(*) FROM {} AS s LEFT JOIN {} AS t ON {} WHERE t.log_offset IS NULL AND {}").format(
        rows, there, same_key(form), absent
    )


def columns_of(form: Form, table: str) -> Composed:
    return SQL(", ").join(Identifier(table, name) for name in form.columns)


def _twice(encoding: Encoding, width: int) -> Encoding:
    return Encoding(
        encoding.types * 2,
        (*encoding.instants, *(place + width for place in encoding.instants)),
        (*encoding.documents, *(place + width for place in encoding.documents)),
    )
