"""The SQL of writing, composed once for a schema. Binary COPY takes the folds' values as they are: an instant is its microseconds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import BigInteger, DateTime, Integer
from sqlalchemy.dialects.postgresql import JSONB

from projections.patches import Form, Patch

POSTGRES_EPOCH: Final = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970: binary timestamps count from it
JSONB_VERSION: Final = b"\x01"  # what binary JSON documents start with


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the values of some columns go into a binary COPY."""

    types: tuple[str, ...]
    instants: tuple[int, ...]  # places that hold microseconds since 1970
    documents: tuple[int, ...]  # places that hold JSON


def encoding_of(form: Form, columns: tuple[str, ...]) -> Encoding:
    kinds = [form.definition.columns[name].type for name in columns]
    return Encoding(
        tuple(
            "int4"
            if isinstance(kind, Integer) and not isinstance(kind, BigInteger)
            else "int8"
            if isinstance(kind, BigInteger | DateTime)
            else "bytea"
            if isinstance(kind, JSONB)
            else "text"
            for kind in kinds
        ),
        tuple(place for place, kind in enumerate(kinds) if isinstance(kind, DateTime)),
        tuple(place for place, kind in enumerate(kinds) if isinstance(kind, JSONB)),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """How patches are written that set the same columns. `values`: of a patch, what it sets, in their order. (Any: the folds' own.)"""

    values: Callable[[Patch], tuple[Any, ...]]
    encoding: Encoding  # of the key and these
    copy: Composed  # to the stage
    update: Composed  # from the stage


@dataclass(frozen=True, slots=True)
class Statements:
    """What is done to one table."""

    form: Form
    table: Composed
    stage: Composed
    whole: Encoding
    copy: Composed
    create_stage: Composed
    clear_stage: Composed
    copy_stage: Composed
    replace: Composed  # from the stage, whole rows of which some may be there already
    keys: Encoding
    copy_keys: Composed  # to the stage
    missing: Composed  # keys in the stage that have no row
    delete: Composed  # rows whose keys are in the stage
    changes: dict[tuple[int, ...], Change] = field(default_factory=dict, init=False, repr=False, compare=False)

    def change(self, places: tuple[int, ...]) -> Change:
        """How patches are written that set the columns in these places: there are as many kinds as ways in which a row changes."""
        known = self.changes.get(places)
        if known is None:
            known = self.changes[places] = _change(self, places)
        return known


def statements_for(form: Form, schema: str, suffix: str = "") -> Statements:
    """`suffix`: of the table's name, where a table is built beside the one in use."""
    table = SQL(".").join((Identifier(schema), Identifier(form.table + suffix)))
    stage = SQL(".").join((Identifier("pg_temp"), Identifier(f"stage_{form.table}")))
    same = same_key(form)
    return Statements(
        form,
        table,
        stage,
        encoding_of(form, form.columns),
        _copy(table, form.columns),
        SQL("CREATE TEMP TABLE IF NOT EXISTS {} AS SELECT * FROM {} WITH NO DATA").format(Identifier(f"stage_{form.table}"), table),
        SQL("TRUNCATE {}").format(stage),
        _copy(stage, form.columns),
        SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {} ON CONFLICT ({}) DO UPDATE SET {}").format(
            table,
            stage,
            _names(form.key),
            SQL(", ").join(SQL("{0} = EXCLUDED.{0}").format(Identifier(name)) for name in form.columns),
            columns=_names(form.columns),
        ),
        encoding_of(form, form.key),
        _copy(stage, form.key),
        SQL("SELECT {} FROM {} AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {}) LIMIT 5").format(_names(form.key), stage, table, same),
        SQL("DELETE FROM {} AS t USING {} AS s WHERE {}").format(table, stage, same),
    )


def _change(statements: Statements, places: tuple[int, ...]) -> Change:
    form = statements.form
    names = (*form.key, *(form.columns[place] for place in places))
    return Change(
        itemgetter(*places),  # several: each patch sets the address of its event
        encoding_of(form, names),
        _copy(statements.stage, names),
        SQL("UPDATE {} AS t SET {} FROM {} AS s WHERE {}").format(
            statements.table, SQL(", ").join(_assign(form, place) for place in places), statements.stage, same_key(form)
        ),
    )


def _names(columns: tuple[str, ...]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))


def _copy(table: Composed, columns: tuple[str, ...]) -> Composed:
    return SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, _names(columns))


def _assign(form: Form, place: int) -> Composed:
    assigned = SQL("{0} = COALESCE(t.{0}, s.{0})") if place == form.set_once else SQL("{0} = s.{0}")
    return assigned.format(Identifier(form.columns[place]))


def same_key(form: Form) -> Composed:
    """That a row `t` and a row `s` are of the same key."""
    return SQL(" AND ").join(SQL("t.{0} = s.{0}").format(Identifier(name)) for name in form.key)
