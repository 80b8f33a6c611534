"""Tables built beside the ones in use, and the moment they take over. Readers see the old tables until then, and the new ones whole.

Indexes are made when the rows are in: that is several times cheaper than keeping them up to date row by row.
"""

from collections.abc import Iterable
from typing import Final

from psycopg import Connection
from psycopg.errors import DependentObjectsStillExist, LockNotAvailable, UniqueViolation
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import Index
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from ledger.core.refusal import Conflict
from projections.columns import METADATA
from projections.forms import FORMS
from projections.patches import Form
from projections.positions import PositionRows
from projections.tables import VIEWS
from projections.tail import Source, Stretch

SUFFIX: Final = "_next"
LOCK_TRIES: Final = 20
_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


class NextTables:
    """`connection` is in autocommit and belongs to the rebuild alone."""

    def __init__(self, connection: Connection[TupleRow], schema: str) -> None:
        self.connection = connection
        self.keyed = False
        self._schema = schema
        self._forms = tuple(form for form, _ in FORMS)

    def create(self) -> None:
        """Empty tables without indexes. Raises `Conflict` if another rebuild is under way in this schema."""
        locked = self.connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"jobledger rebuild {self._schema}",))
        if locked.fetchone() != (True,):
            raise Conflict(f"another rebuild of schema {self._schema!r} is under way: wait for it, or stop it")
        self.connection.execute("SET maintenance_work_mem = '256MB'")
        with self.connection.transaction():
            for form in self._forms:
                self.connection.execute(SQL("DROP TABLE IF EXISTS {}").format(self._named(form.table + SUFFIX)))
                self.connection.execute(
                    SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS)").format(self._named(form.table + SUFFIX), self._named(form.table))
                )

    def add_keys(self) -> None:
        """Primary keys: needed for patches. Of rows that came twice the later one stays."""
        if not self.keyed:
            for form in self._forms:
                try:
                    self._add_key(form)
                except UniqueViolation:
                    self.connection.execute(self._delete_earlier(form))
                    self._add_key(form)
            self.keyed = True

    def add_indexes(self) -> None:
        for form in self._forms:
            for index in METADATA.tables[form.table].indexes:
                self.connection.execute(self._create_index(index))
            self.connection.execute(self._analyze(form))

    def swap(self, positions: PositionRows, stretches: Iterable[Stretch]) -> None:
        """Put the new tables and their positions in the place of the old ones, in one transaction. Raises `Conflict` if it cannot."""
        reached = list(stretches)
        for left in reversed(range(LOCK_TRIES)):
            try:
                with self.connection.transaction():
                    self._swap(positions, reached)
                return
            except LockNotAvailable as error:
                if not left:
                    raise Conflict(
                        "the tables are in use by long transactions, so the new ones could not take their place: end those, try again"
                    ) from error
            except DependentObjectsStillExist as error:
                raise Conflict(f"something of yours depends on the tables: drop it, rebuild, make it again ({error})") from error

    def drop(self) -> None:
        for form in self._forms:
            self.connection.execute(SQL("DROP TABLE IF EXISTS {}").format(self._named(form.table + SUFFIX)))

    def _swap(self, positions: PositionRows, reached: list[Stretch]) -> None:
        run = self.connection.execute
        run("SET LOCAL lock_timeout = '1s'")
        run("SET LOCAL synchronous_commit = on")
        sources: list[Source] = [stretch.source for stretch in reached]
        for source in sorted(sources):  # first, as writers do: who writes meanwhile waits, and finds the position moved
            positions.create(self.connection, source)
            positions.lock(self.connection, source)
        run(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(SQL(", ").join(self._named(form.table) for form in self._forms)))
        grants = self._grants()
        for view in VIEWS:
            run(SQL("DROP VIEW IF EXISTS {}").format(self._named(view)))
        for form in self._forms:
            self._rename(form)
        for view, query in VIEWS.items():
            run(SQL("CREATE VIEW {} AS {}").format(self._named(view), SQL(query).format(schema=Identifier(self._schema))))
        for grant in grants:
            run(grant)
        for stretch in reached:
            positions.write(self.connection, stretch)

    def _rename(self, form: Form) -> None:
        run = self.connection.execute
        run(SQL("DROP TABLE {}").format(self._named(form.table)))
        run(SQL("ALTER TABLE {} RENAME TO {}").format(self._named(form.table + SUFFIX), Identifier(form.table)))
        for name in (f"{form.table}_pkey", *(str(index.name) for index in METADATA.tables[form.table].indexes)):
            run(SQL("ALTER INDEX {} RENAME TO {}").format(self._named(name + SUFFIX), Identifier(name)))

    def _grants(self) -> list[Composed]:
        """What others may do with the tables and views: it is granted again."""
        found = self.connection.execute(
            "SELECT c.relname, g.privilege_type, CASE WHEN g.grantee = 0 THEN NULL ELSE pg_get_userbyid(g.grantee) END"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) g"
            " WHERE n.nspname = %s AND c.relname = ANY(%s) AND g.grantee <> c.relowner",
            (self._schema, [*(form.table for form in self._forms), *VIEWS]),
        )
        return [
            SQL("GRANT {} ON {} TO {}").format(SQL(privilege), self._named(table), Identifier(role) if role else SQL("PUBLIC"))
            for table, privilege, role in found
        ]

    def _add_key(self, form: Form) -> None:
        self.connection.execute(
            SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})").format(
                self._named(form.table + SUFFIX), Identifier(f"{form.table}_pkey{SUFFIX}"), SQL(", ").join(map(Identifier, form.key))
            )
        )

    def _delete_earlier(self, form: Form) -> Composed:
        same = SQL(" AND ").join(SQL("a.{0} = b.{0}").format(Identifier(name)) for name in form.key)
        return SQL("DELETE FROM {0} a USING {0} b WHERE {1} AND (a.log_offset, a.log_index) < (b.log_offset, b.log_index)").format(
            self._named(form.table + SUFFIX), same
        )

    def _create_index(self, index: Index) -> Composed:
        """The index as the table's definition has it, under the new table's name."""
        table = index.table
        assert table is not None
        ddl = str(CreateIndex(index).compile(dialect=_DIALECT))
        head, _, tail = ddl.partition(f" ON {table.name} ")
        assert head == f"CREATE INDEX {index.name}"
        return SQL("CREATE INDEX {} ON {} {}").format(
            Identifier(f"{index.name}{SUFFIX}"),
            self._named(f"{table.name}{SUFFIX}"),
            SQL(tail),
        )

    def _analyze(self, form: Form) -> Composed:
        """Of the columns that questions choose by; the others are wide, and reading them takes as long as building an index."""
        table = METADATA.tables[form.table]
        columns = {column.name for index in table.indexes for column in index.columns} | set(form.key)
        return SQL("ANALYZE {} ({})").format(self._named(form.table + SUFFIX), SQL(", ").join(map(Identifier, sorted(columns))))

    def _named(self, name: str) -> Composed:
        return SQL("{}.{}").format(Identifier(self._schema), Identifier(name))
