"""Rows as a COPY gives them: instants are microseconds, documents are bytes, as in the folds."""

from collections.abc import Iterator
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Composed, Identifier

from projections.patches import Form, Key, Patch, Rows, Source
from projections.statements import JSONB_VERSION, POSTGRES_EPOCH, Encoding, encoding_of

_ALL: Final = SQL("TRUE")


class StoredRows:
    """`suffix`: of the tables' names, where they are not the live ones."""

    def __init__(self, connection: Connection[TupleRow], schema: str, suffix: str = "") -> None:
        self._connection = connection
        self._schema = schema
        self._suffix = suffix

    def of(self, form: Form, source: Source, where: Composable = _ALL) -> Iterator[Patch]:
        """What a partition wrote to a table; nothing if the table belongs to the other log."""
        if form.log in (None, source[0]):
            yield from read_rows(self._connection, self._query(form, source, where), encoding_of(form, form.columns))

    def kept(self, form: Form, source: Source, where: Composable = _ALL) -> Rows:
        places = key_places(form)
        return {key_of(row, places): row for row in self.of(form, source, where)}

    def _query(self, form: Form, source: Source, where: Composable) -> Composed:
        return SQL("SELECT {} FROM {} WHERE {} AND {}").format(
            SQL(", ").join(map(Identifier, form.columns)),
            Identifier(self._schema, form.table + self._suffix),
            written_by(form, source),
            where,
        )


def written_by(form: Form, source: Source, table: Composable = SQL("")) -> Composed:
    """The condition for rows of a source. `table`: its name with a dot, where there are several."""
    mine = SQL(" AND {}log = {}").format(table, source[0]) if form.log is None else SQL("")
    return SQL("{}log_partition = {}{}").format(table, source[1], mine)


def read_rows(connection: Connection[TupleRow], query: Composed, encoding: Encoding) -> Iterator[Patch]:
    """The rows of a query that selects columns of this encoding."""
    with connection.cursor() as cursor, cursor.copy(SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)) as stream:
        stream.set_types(encoding.types)
        for values in stream.rows():
            row: Patch = list(values)
            for place in encoding.instants:
                if isinstance(instant := row[place], int):
                    row[place] = instant + POSTGRES_EPOCH
            for place in encoding.documents:
                if isinstance(document := row[place], bytes):
                    row[place] = document.removeprefix(JSONB_VERSION)
            yield row


def key_places(form: Form) -> tuple[int, ...]:
    return tuple(map(form.columns.index, form.key))


def key_of(row: Patch, places: tuple[int, ...]) -> Key:
    values = tuple(value for place in places if isinstance(value := row[place], str | int))
    first = values[0]
    return first if len(values) == 1 and isinstance(first, str) else values
