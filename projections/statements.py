"""The SQL of writing, composed once for a schema. Binary COPY takes the folds' values as they are: an instant is its microseconds."""

from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import BigInteger, DateTime, Integer
from sqlalchemy.dialects.postgresql import JSONB

from projections.patches import Form

POSTGRES_EPOCH: Final = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970: binary timestamps count from it
JSONB_VERSION: Final = b"\x01"  # what binary JSON documents start with
MASK: Final = "patched"


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
class Statements:
    """What is done to one table."""

    form: Form
    whole: Encoding
    copy: Composed
    create_stage: Composed
    clear_stage: Composed
    copy_stage: Composed
    replace: Composed  # from the stage, whole rows of which some may be there already
    staged: tuple[int, ...]  # places of the columns that a patch which is not whole brings: the key, then the mutable ones
    partly: Encoding
    copy_patches: Composed
    patch: Composed  # from the stage
    missing: Composed  # keys in the stage that have no row
    delete: Composed  # rows whose keys are in the stage


def statements_for(form: Form, schema: str, suffix: str = "") -> Statements:
    """`suffix`: of the table's name, where a table is built beside the one in use."""
    table = SQL(".").join((Identifier(schema), Identifier(form.table + suffix)))
    stage = SQL(".").join((Identifier("pg_temp"), Identifier(f"stage_{form.table}")))
    keys = tuple(map(form.columns.index, form.key))
    staged = (*keys, *form.mutable)
    names = tuple(form.columns[place] for place in staged)
    same_key = SQL(" AND ").join(SQL("t.{0} = s.{0}").format(Identifier(name)) for name in form.key)
    return Statements(
        form,
        encoding_of(form, form.columns),
        _copy(table, form.columns),
        SQL("CREATE TEMP TABLE IF NOT EXISTS {} AS SELECT *, 0::bigint AS {} FROM {} WITH NO DATA").format(
            Identifier(f"stage_{form.table}"), Identifier(MASK), table
        ),
        SQL("TRUNCATE {}").format(stage),
        _copy(stage, form.columns),
        SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {} ON CONFLICT ({}) DO UPDATE SET {}").format(
            table,
            stage,
            _names(form.key),
            SQL(", ").join(SQL("{0} = EXCLUDED.{0}").format(Identifier(name)) for name in form.columns),
            columns=_names(form.columns),
        ),
        staged,
        _with_mask(encoding_of(form, names)),
        _copy(stage, (*names, MASK)),
        SQL("UPDATE {} AS t SET {} FROM {} AS s WHERE {}").format(
            table, SQL(", ").join(_assign(form, bit, place) for bit, place in enumerate(form.mutable)), stage, same_key
        ),
        SQL("SELECT {} FROM {} AS s WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {}) LIMIT 5").format(
            _names(form.key), stage, table, same_key
        ),
        SQL("DELETE FROM {} AS t USING {} AS s WHERE {}").format(table, stage, same_key),
    )


def _with_mask(encoding: Encoding) -> Encoding:
    return Encoding((*encoding.types, "int8"), encoding.instants, encoding.documents)


def _names(columns: tuple[str, ...]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))


def _copy(table: Composed, columns: tuple[str, ...]) -> Composed:
    return SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, _names(columns))


def _assign(form: Form, bit: int, place: int) -> Composed:
    column = Identifier(form.columns[place])
    if place == form.set_once:
        return SQL("{0} = COALESCE(t.{0}, s.{0})").format(column)
    return SQL("{0} = CASE WHEN s.{1} & {2} <> 0 THEN s.{0} ELSE t.{0} END").format(column, Identifier(MASK), SQL(str(1 << bit)))
