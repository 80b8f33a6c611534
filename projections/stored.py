"""Rows as a COPY gives them: instants are microseconds, documents are bytes, as in the folds."""

from collections.abc import Iterator
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Composed, Identifier

from projections.forms import BULK_ACTS, DEFINITIONS, PAUSES, STATUSES
from projections.memory import Memory
from projections.patches import Form, Key, Patch, Rows
from projections.statements import JSONB_VERSION, POSTGRES_EPOCH, encoding_of
from projections.tail import Source

_ALL: Final = SQL("TRUE")
_UNDER_WAY: Final = SQL("finished_at IS NULL")


class StoredRows:
    def __init__(self, connection: Connection[TupleRow], schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def of(self, form: Form, source: Source, where: Composable = _ALL) -> Iterator[Patch]:
        """What a partition wrote to a table; nothing if the table belongs to the other log."""
        if form.log not in (None, source[0]):
            return
        encoding = encoding_of(form.table, form.columns)
        with self._connection.cursor() as cursor, cursor.copy(self._query(form, source, where)) as stream:
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

    def memory(self, source: Source) -> Memory:
        """What the fold of this partition has to know, to go on where the tables stand. Within one transaction with the position."""
        return Memory(
            self._kept(DEFINITIONS, source),
            self._kept(PAUSES, source),
            self._kept(STATUSES, source),
            self._kept(BULK_ACTS, source, _UNDER_WAY),
            self._runs(source) if source[0] == "events" else {},
        )

    def _kept(self, form: Form, source: Source, where: Composable = _ALL) -> Rows:
        places = key_places(form)
        return {key_of(row, places): row for row in self.of(form, source, where)}

    def _runs(self, source: Source) -> dict[str, str]:
        query = SQL("SELECT execution_id, job_id FROM {} WHERE log_partition = {} AND finished_at IS NULL AND kind <> 'on_demand'")
        found = self._connection.execute(query.format(Identifier(self._schema, "job_executions"), source[1]))
        return {str(execution_id): str(job_id) for execution_id, job_id in found}

    def _query(self, form: Form, source: Source, where: Composable) -> Composed:
        log, partition = source
        mine = SQL(" AND log = {}").format(log) if form.log is None else SQL("")
        return SQL("COPY (SELECT {} FROM {} WHERE log_partition = {}{} AND {}) TO STDOUT (FORMAT BINARY)").format(
            SQL(", ").join(map(Identifier, form.columns)), Identifier(self._schema, form.table), partition, mine, where
        )


def key_places(form: Form) -> tuple[int, ...]:
    return tuple(map(form.columns.index, form.key))


def key_of(row: Patch, places: tuple[int, ...]) -> Key:
    values = tuple(value for place in places if isinstance(value := row[place], str | int))
    first = values[0]
    return first if len(values) == 1 and isinstance(first, str) else values
