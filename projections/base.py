"""What a comparison of our tables goes on from: the rows that a later event may change, as the log left them at some commit.

They are kept between two audits, without the bodies of users: a fingerprint stands where a document was.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from hashlib import blake2b
from typing import Final, Self

from msgspec import UnsetType
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from ledger.core.audit_saved import SavedRows
from projections.builtin import TABLES
from projections.forms import ATTEMPTS, BULK_ACTS, EXECUTIONS, STATUSES
from projections.memory import Memory
from projections.patches import Changes, Form, Patch, Rows, Source
from projections.statements import encoding_of
from projections.stored import StoredRows, key_of, key_places
from projections.tail import Reached

SavedRow = list[str | int | None]
BODIES: Final = encoding_of(EXECUTIONS, EXECUTIONS.columns).documents
_KIND, _JOB = map(EXECUTIONS.columns.index, ("kind", "job_id"))
_ENDED: Final = {form.table: form.columns.index("finished_at") for form in (ATTEMPTS, BULK_ACTS)}
_EXACTLY: Final = Context(prec=200_000)  # no number that Postgres takes is longer
_UNDER_WAY: Final = SQL("finished_at IS NULL")


class Fingerprint(bytes):
    """Of a document, whatever its spelling; a document itself, so that it may stand in the place of the other."""

    __slots__ = ()

    @classmethod
    def of(cls, document: bytes) -> Self:
        read = json.loads(document, parse_int=Decimal, parse_float=Decimal)
        written = json.dumps(read, sort_keys=True, separators=(",", ":"), default=_number)
        return cls(b'"blake2b:%s"' % blake2b(written.encode(), digest_size=16).hexdigest().encode())


def _number(value: object) -> str:
    """Postgres keeps the value and not the zeros behind it; and no text that begins so."""
    assert isinstance(value, Decimal)
    return f"\0{_EXACTLY.plus(value.normalize(_EXACTLY))}"


@dataclass(slots=True)
class Base:
    """`held`: executions under way, and those of their attempts that run."""

    reached: Reached
    memory: Memory
    held: Changes


def base_of(saved: SavedRows) -> Base:
    rows = {form.table: _rows_of(form, saved.tables.get(form.table, ())) for form in (STATUSES, BULK_ACTS, EXECUTIONS, ATTEMPTS)}
    executions = rows[EXECUTIONS.table]
    for row in executions.values():
        for place in BODIES:
            if isinstance(body := row[place], bytes):
                row[place] = Fingerprint(body)
    runs = {str(key): str(row[_JOB]) for key, row in executions.items() if row[_KIND] != "on_demand"}
    memory = Memory(statuses=rows[STATUSES.table], bulk_acts=rows[BULK_ACTS.table], runs=runs)
    return Base(Reached(saved.head, saved.offset), memory, Changes(executions=executions, attempts=rows[ATTEMPTS.table]))


def saved_of(base: Base) -> SavedRows:
    memory, held = base.memory, base.held
    for row in held.executions.values():
        for place in BODIES:
            if isinstance(body := row[place], bytes) and not isinstance(body, Fingerprint):
                row[place] = Fingerprint.of(body)
    tables = ((STATUSES, memory.statuses), (BULK_ACTS, memory.bulk_acts), (EXECUTIONS, held.executions), (ATTEMPTS, held.attempts))
    saved = {form.table: [_saved(row) for row in rows.values() if _may_change(form, row)] for form, rows in tables}
    return SavedRows(base.reached.head, base.reached.offset, {table: rows for table, rows in saved.items() if rows})


def stored_base(connection: Connection[TupleRow], schema: str, source: Source, reached: Reached) -> Base:
    """Out of tables that were found to be equal to the log up to there."""
    stored = StoredRows(connection, schema)
    ids = SQL("execution_id IN (SELECT execution_id FROM {} WHERE finished_at IS NULL)").format(Identifier(schema, EXECUTIONS.table))
    held = Changes(executions=stored.kept(EXECUTIONS, source, _UNDER_WAY), attempts=stored.kept(ATTEMPTS, source, ids))
    return Base(reached, TABLES.remember(stored, source) if source[0] == "events" else Memory(), held)


def _may_change(form: Form, row: Patch) -> bool:
    ended = _ENDED.get(form.table)
    return ended is None or row[ended] is None


def _saved(row: Patch) -> SavedRow:
    saved: SavedRow = []
    for value in row:
        assert not isinstance(value, UnsetType)
        saved.append(value.decode() if isinstance(value, bytes) else value)
    return saved


def _rows_of(form: Form, saved: Iterable[SavedRow]) -> Rows:
    places, documents = key_places(form), encoding_of(form, form.columns).documents
    rows: Rows = {}
    for values in saved:
        row: Patch = list(values)
        for place in documents:
            if isinstance(text := row[place], str):
                row[place] = text.encode()
        rows[key_of(row, places)] = row
    return rows
