"""Rows that no event has written. Looked for only where there are more rows than were found as expected: it takes another fold."""

from collections.abc import Iterator
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Identifier

from projections.comparing import Pair, columns_of
from projections.patches import Changes, Form, Key, Source, is_whole
from projections.projection import Projection
from projections.statements import encoding_of
from projections.stored import key_of, key_places, read_rows, written_by
from projections.writing import copy_rows

SEEN: Final = "_seen"


class Strangers:
    """The keys that the fold has are noted in temporary tables, one partition at a time."""

    def __init__(self, connection: Connection[TupleRow], schema: str, projection: Projection, suffix: str) -> None:
        self._connection = connection
        self._schema = schema
        self._suffix = suffix
        self._tables = projection.tables
        self._kept: dict[str, set[Key]] = {form.table: set() for form in projection.forms if form.is_kept}

    def count(self) -> dict[tuple[str, Source], int]:
        """Rows that are there, by table and source."""
        found: dict[tuple[str, Source], int] = {}
        for form, _ in self._tables:
            log: Composable = SQL("log") if form.log is None else SQL("{}").format(form.log)
            query = SQL("SELECT {}::text, log_partition, count(*) FROM {} GROUP BY 1, 2").format(log, self._named(form))
            for name, partition, count in self._connection.execute(query).fetchall():
                found[form.table, (str(name), int(partition))] = int(count)
        return found

    def begin(self) -> None:
        for form, _ in self._tables:
            keys = SQL(", ").join(map(Identifier, form.key))
            create = SQL("CREATE TEMP TABLE IF NOT EXISTS {} AS SELECT {} FROM {} WITH NO DATA")
            self._connection.execute(create.format(Identifier(form.table + SEEN), keys, self._named(form)))
            self._connection.execute(SQL("TRUNCATE {}").format(Identifier("pg_temp", form.table + SEEN)))
        for kept in self._kept.values():
            kept.clear()

    def see(self, changes: Changes) -> None:
        """Their rows have to be there. Of rows that the folds keep only those that are not gone in the end."""
        for form, rows_of in self._tables:
            rows, places = rows_of(changes), key_places(form)
            if form.is_kept:
                for key, row in rows.items():
                    (self._kept[form.table].add if row else self._kept[form.table].discard)(key)
            else:
                self._note(form, [[row[place] for place in places] for row in rows.values() if is_whole(row)])

    def found(self, source: Source) -> Iterator[Pair]:
        for form, _ in self._tables:
            if form.log not in (None, source[0]):
                continue
            self._note(form, [[key] if isinstance(key, str) else list(key) for key in self._kept.get(form.table, ())])
            same = SQL(" AND ").join(SQL("t.{0} = s.{0}").format(Identifier(name)) for name in form.key)
            query = SQL("SELECT {} FROM {} AS t WHERE {} AND NOT EXISTS (SELECT FROM {} AS s WHERE {})").format(
                columns_of(form, "t"),
                self._named(form),
                written_by(form, source, SQL("t.")),
                Identifier("pg_temp", form.table + SEEN),
                same,
            )
            self._connection.execute("SET LOCAL enable_hashjoin = on")
            for row in read_rows(self._connection, query, encoding_of(form, form.columns)):
                yield Pair(form, key_of(row, key_places(form)), None, row)
            self._connection.execute("SET LOCAL enable_hashjoin = off")

    def _note(self, form: Form, keys: "list[list[object]]") -> None:
        if keys:
            copy = SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
                Identifier("pg_temp", form.table + SEEN), SQL(", ").join(map(Identifier, form.key))
            )
            with self._connection.cursor() as cursor:
                copy_rows(cursor, copy, encoding_of(form, form.key), keys)

    def _named(self, form: Form) -> Identifier:
        return Identifier(self._schema, form.table + self._suffix)
