"""A projection of the user's own: a pure fold over the events, tables, a version. It gets what ours have: rows and position in one
transaction, rebuild, swap, verify.

Its rows are kept in memory, one partition's by the process that has the partition: few they should be, sums and what is under way. Each row
belongs to one partition of the log and has its number in the key; who wants the sum over partitions asks a view for it.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import BigInteger, DateTime, Integer, PrimaryKeyConstraint, SmallInteger, Table, Text
from sqlalchemy import MetaData as _MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from ledger.core.ids import Micros
from ledger.core.refusal import Misconfigured
from ledger.core.wire import Event
from projections import tables as ours
from projections.columns import METADATA, address, bigint, document, instant, integer, text
from projections.forms import form_of
from projections.memory import Memory, put, remove
from projections.patches import Changes, Form, Key, Patch, Place, Rows, Source, Value
from projections.projection import SUFFIXES, Fold, Projection, RowsOf, names_of
from projections.stored import StoredRows

__all__ = ["Own", "OwnFold", "Row", "bigint", "document", "instant", "integer", "own_projection", "own_table", "text"]

KINDS: Final = (Text, Integer, BigInteger, DateTime, JSONB)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ADDRESS: Final = 4  # columns


class Row:
    """A row as a fold reads it."""

    def __init__(self, form: Form, values: Patch) -> None:
        self._form = form
        self._values = values

    def text(self, column: str) -> str:
        """Raises `TypeError` where it holds something else, or nothing."""
        value = self.value(column)
        if not isinstance(value, str):
            raise TypeError(f"{self._form.table}.{column} is {value!r}, no text")
        return value

    def number(self, column: str) -> int:
        """An integer, or an instant. Raises `TypeError` where it holds something else, or nothing."""
        value = self.value(column)
        if not isinstance(value, int):
            raise TypeError(f"{self._form.table}.{column} is {value!r}, no number")
        return value

    def value(self, column: str) -> Value:
        return self._form.named(self._values)[column]


class Own:
    """What a fold reads and writes: the rows of one partition. An instant is its microseconds since 1970, a document its bytes in JSON."""

    def __init__(self, memory: Memory, forms: Mapping[str, Form]) -> None:
        self._memory = memory
        self._forms = forms
        self._changes = Changes()
        self._address = (0, 0, 0, 0)

    def at(self, changes: Changes, place: Place, index: int) -> None:
        """Before each event."""
        self._changes, self._address = changes, (place.partition, place.seq, index, place.offset)

    def get(self, table: Table, *key: str | int) -> Row | None:
        """The row with this key; None if there is none."""
        form = self._forms[str(table.name)]
        row = self._kept(form).get((*key, self._address[0]))
        return None if row is None else Row(form, row)

    def put(self, table: Table, **values: Value) -> None:
        """Write a row, in the place of what had its key; columns that are not given are null."""
        form = self._forms[str(table.name)]
        unknown = values.keys() - set(form.columns)
        if unknown:
            raise TypeError(f"{form.table} has no columns {sorted(unknown)}")
        row: Patch = [*(values.get(name) for name in form.columns[:-_ADDRESS]), *self._address]
        put(self._kept(form), self._changed(form), self._key(form, row), row)

    def remove(self, table: Table, *key: str | int) -> None:
        form = self._forms[str(table.name)]
        remove(self._kept(form), self._changed(form), (*key, self._address[0]))

    def _key(self, form: Form, row: Patch) -> Key:
        values = tuple(value for name in form.key if isinstance(value := row[form.columns.index(name)], str | int))
        if len(values) < len(form.key):
            raise TypeError(f"{form.table}: each of {form.key} needs a text or a number, here {row!r}")
        return values

    def _kept(self, form: Form) -> Rows:
        return self._memory.own.setdefault(form.table, {})

    def _changed(self, form: Form) -> Rows:
        return self._changes.own.setdefault(form.table, {})


OwnFold = Callable[[Own, Event, Micros], None]  # the time is that of the decision


def own_table(name: str, *columns: SchemaItem, key: Sequence[str], log: str = "events") -> Table:
    """`key`: columns that name a row within its partition. `log`: the one whose events write it, `events` or `registry`."""
    constraint = PrimaryKeyConstraint(*key, "log_partition", name=f"{name}_pkey")
    return Table(name, _MetaData(), *columns, *address(), constraint, info={"log": log})


def own_projection(
    name: str, *, version: int, tables: Sequence[Table], fold: OwnFold, views: Mapping[str, str] | None = None
) -> Projection:
    """`views`: queries by name, `{schema}` in the place of the schema. Raises `Misconfigured`."""
    taken = {*(name for table in METADATA.tables.values() for name in names_of(table)), *ours.VIEWS, ours.VERSION_TABLE}
    indexes = [index for table in tables for index in table.indexes]
    for one in (name, *(str(table.name) for table in tables), *(str(index.name) for index in indexes), *(views or {})):
        if not _NAME.fullmatch(one) or one in taken or one == "tables" or one.endswith(SUFFIXES):
            raise Misconfigured(f"{one!r} cannot be a name in a projection of your own: 40 small letters, digits, _, and none of ours")
    for index in indexes:
        if index.unique:
            raise Misconfigured(f"{index.name}: an index of a projection cannot be unique, its key alone is")
    for table in tables:
        wrong = [column.name for column in table.columns if not isinstance(column.type, KINDS) or isinstance(column.type, SmallInteger)]
        if wrong or table.info.get("log") not in ("events", "registry"):
            raise Misconfigured(f"{table.name}: make it by `own_table`, of text, integer, bigint, instant and document; wrong: {wrong}")
    forms = tuple(form_of(table, log=table.info["log"], is_kept=True) for table in tables)
    made = Projection(
        name, version, tuple((form, _rows_of(form)) for form in forms), _folds(forms, fold), _remember(forms), _split, views or {}
    )
    for one, times in Counter(made.names).items():
        if times > 1:
            raise Misconfigured(f"projection {name!r} has {one!r} {times} times: a name stands for one table, index or view of the schema")
    return made


def _folds(forms: Sequence[Form], fold: OwnFold) -> Callable[[str, int, Memory], Fold]:
    def fold_of(log: str, partitions: int, memory: Memory) -> Fold:
        rows = Own(memory, {form.table: form for form in forms if form.log == log})

        def folded(changes: Changes, event: Event, place: Place, index: int) -> None:
            rows.at(changes, place, index)
            fold(rows, event, Micros(place.at))

        return folded

    return fold_of


def _rows_of(form: Form) -> RowsOf:
    return lambda changes: changes.own.setdefault(form.table, {})


def _remember(forms: Sequence[Form]) -> Callable[[StoredRows, Source], Memory]:
    return lambda stored, source: Memory(own={form.table: stored.kept(form, source) for form in forms})


def _split(changes: Changes) -> tuple[Changes, Changes]:
    """Any row may change again."""
    return Changes(), changes
