"""The tables of a projection, as a set: live ones, next ones that are built beside them, and old ones that were kept.

A set is its tables, their keys and indexes, and its rows in `projection_positions`; the suffix is in all their names. Tables are made from
their definitions and not from the live ones: so another shape needs no migration, it is built like any other. Another version of the
projection may have other tables: a comment on each says whose it is, and a set is moved and dropped as a whole.
"""

from collections.abc import Iterable
from typing import Final

from psycopg import Connection
from psycopg.errors import DependentObjectsStillExist, UniqueViolation
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier, Literal
from sqlalchemy import Index, PrimaryKeyConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from ledger.core.refusal import Conflict
from projections.patches import Form
from projections.positions import PositionRows
from projections.projection import LIVE, SUFFIXES, Projection

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_COLUMNS: Final = (
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull FROM pg_attribute a"
    " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname"
)


class TableSet:
    """`connection` is in autocommit."""

    def __init__(self, connection: Connection[TupleRow], schema: str, projection: Projection, suffix: str = LIVE) -> None:
        self.connection = connection
        self.schema = schema
        self.projection = projection
        self.suffix = suffix

    def create(self) -> None:
        """Empty tables without keys and indexes, in the place of any of these names."""
        self.drop()
        for form in self.projection.forms:
            self._create(form)

    def make(self) -> None:
        """What is missing of it, whole: a new projection has no tables yet. Raises `Conflict` where one has another shape."""
        with self.connection.transaction():
            self.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"jobledger tables {self.schema}",))
            missing = [form for form in self.projection.forms if not self._has(form.table + self.suffix)]
            if missing and PositionRows(self.schema, self.projection, self.suffix).have_begun(self.connection):
                raise Conflict(
                    f"tables of projection {self.projection.name!r} are gone that commits were folded into: "
                    f"{', '.join(form.table for form in missing)}; `jobledger projections rebuild {self.projection.name}` makes them again"
                )
            for form in missing:
                self._create(form)
            if missing:
                self.add_keys()
                self.add_indexes()
            for view in [view for view in self.projection.views if not self._has(view)]:
                self._add_view(view)
        if not self.is_there():
            raise Conflict(
                f"the tables of projection {self.projection.name!r} have another shape than version {self.projection.version} gives them: "
                f"raise its version, then `jobledger projections rebuild {self.projection.name}`"
            )

    def drop(self) -> None:
        """Raises `Conflict`."""
        for table in self.tables():
            self._drop(SQL("DROP TABLE {}").format(Identifier(self.schema, table + self.suffix)))

    def tables(self) -> list[str]:
        """What is there of it, by names without the suffix, and whichever version of the projection made it."""
        marked = [name.removesuffix(self.suffix) for name in self._marked("r") if name.endswith(self.suffix)]
        here = {name for name in marked if not name.endswith(SUFFIXES)}
        return sorted(here | {form.table for form in self.projection.forms if self._has(form.table + self.suffix)})

    def is_there(self) -> bool:
        """All the tables, each in the shape that this program gives it."""
        return all(self._shape(form) == _shape_of(form) for form in self.projection.forms)

    def add_keys(self) -> None:
        """Primary keys: needed for patches. Of rows that came twice the later one stays."""
        for form in self.projection.forms:
            if self._has(f"{form.table}_pkey{self.suffix}"):
                continue
            try:
                self._add_key(form)
            except UniqueViolation:
                self.connection.execute(self._delete_earlier(form))
                self._add_key(form)

    def add_indexes(self) -> None:
        for form in self.projection.forms:
            for index in sorted(form.definition.indexes, key=lambda one: str(one.name)):
                if not self._has(f"{index.name}{self.suffix}"):
                    self.connection.execute(self._create_index(form, index))
            self._leave_room(form)
            self.connection.execute(self._analyze(form))

    def add_views(self) -> None:
        for view in self.projection.views:
            self._add_view(view)

    def drop_views(self) -> None:
        """Together, as one may stand on another; those that another version had, too. Raises `Conflict`."""
        if views := sorted({*self.projection.views, *self._marked("v")}):
            named = SQL(", ").join(Identifier(self.schema, view) for view in views)
            self._drop(SQL("DROP VIEW IF EXISTS {}").format(named))

    def _drop(self, statement: Composed) -> None:
        try:
            self.connection.execute(statement)
        except DependentObjectsStillExist as error:
            raise Conflict(f"something of yours depends on the tables: drop it, do this again, then make it again ({error})") from error

    def named(self, form: Form) -> Identifier:
        return Identifier(self.schema, form.table + self.suffix)

    @property
    def _mark(self) -> str:
        return f"jobledger: of the projection {self.projection.name}"

    def _marked(self, kind: str) -> list[str]:
        """What there is of all its sets. `kind`: as `pg_class` says it."""
        found = self.connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind = %s AND obj_description(c.oid, 'pg_class') = %s",
            (self.schema, kind, self._mark),
        )
        return [str(name) for (name,) in found]

    def _create(self, form: Form) -> None:
        self.connection.execute(SQL("CREATE TABLE {} ({})").format(self.named(form), _columns(form)))
        self.connection.execute(SQL("COMMENT ON TABLE {} IS {}").format(self.named(form), Literal(self._mark)))

    def _add_view(self, view: str) -> None:
        query = SQL(self.projection.views[view]).format(schema=Identifier(self.schema))
        self.connection.execute(SQL("CREATE VIEW {} AS {}").format(Identifier(self.schema, view), query))
        self.connection.execute(SQL("COMMENT ON VIEW {} IS {}").format(Identifier(self.schema, view), Literal(self._mark)))

    def _has(self, name: str) -> bool:
        """An index or a table of that name."""
        found = self.connection.execute("SELECT to_regclass(%s)", (quoted(self.schema, name),)).fetchone()
        return found is not None and found[0] is not None

    def _shape(self, form: Form) -> list[tuple[str, str, bool]]:
        found = self.connection.execute(_COLUMNS, (quoted(self.schema, form.table + self.suffix),))
        return [(str(name), str(kind), bool(required)) for name, kind, required in found]

    def _add_key(self, form: Form) -> None:
        self.connection.execute(
            SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})").format(
                self.named(form), Identifier(f"{form.table}_pkey{self.suffix}"), _names(form.key)
            )
        )

    def _delete_earlier(self, form: Form) -> Composed:
        """By one sort: without a key, a search for the fellow of each row would read the table for each."""
        return SQL(
            "DELETE FROM {0} WHERE ctid = ANY(ARRAY(SELECT row FROM (SELECT ctid AS row, row_number() OVER"
            " (PARTITION BY {1} ORDER BY log_offset DESC, log_index DESC) AS place FROM {0}) AS placed WHERE place > 1))"
        ).format(self.named(form), _names(form.key))

    def _create_index(self, form: Form, index: Index) -> Composed:
        """The index as the table's definition has it, under the name of this set."""
        ddl = str(CreateIndex(index).compile(dialect=_DIALECT))
        _, found, tail = ddl.partition(f" ON {_DIALECT.identifier_preparer.format_table(form.definition)} ")
        assert found, ddl
        return SQL("CREATE INDEX {} ON {} {}").format(Identifier(f"{index.name}{self.suffix}"), self.named(form), SQL(tail))

    def _leave_room(self, form: Form) -> None:
        """In pages of indexes that are made from now on, where the definition says so (`info`)."""
        found: list[PrimaryKeyConstraint | Index] = [form.definition.primary_key, *form.definition.indexes]
        for one in found:
            if (percent := one.info.get("fillfactor")) is not None:
                named = Identifier(self.schema, f"{one.name}{self.suffix}")
                self.connection.execute(SQL("ALTER INDEX {} SET (fillfactor = {})").format(named, percent))

    def _analyze(self, form: Form) -> Composed:
        """Of the columns that questions choose by; the others are wide, and reading them takes as long as building an index."""
        columns = {column.name for index in form.definition.indexes for column in index.columns} | set(form.key)
        return SQL("ANALYZE {} ({})").format(self.named(form), _names(sorted(columns)))


def quoted(schema: str, name: str) -> str:
    """As `to_regclass` reads it."""
    return f'"{schema}"."{name}"'


def _names(columns: Iterable[str]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))


def _columns(form: Form) -> Composed:
    return SQL(", ").join(
        SQL("{} {}{}").format(Identifier(name), SQL(kind), SQL(" NOT NULL" if required else ""))
        for name, kind, required in _definition(form)
    )


def _definition(form: Form) -> list[tuple[str, str, bool]]:
    return [
        (str(column.name), column.type.compile(dialect=_DIALECT).lower(), not column.nullable or column.name in form.key)
        for column in form.definition.columns
    ]


def _shape_of(form: Form) -> list[tuple[str, str, bool]]:
    return sorted(_definition(form))
