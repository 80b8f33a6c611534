"""The tables compared with the log, row by row: it is folded again in memory up to where the tables stand, one partition at a time."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

import orjson
from psycopg import Connection, IsolationLevel
from psycopg.errors import UndefinedTable
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core.chain import Head
from ledger.core.refusal import Conflict
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import LogIdentity, check_identity
from projections.connecting import connect, not_upgraded
from projections.folds import fold_of
from projections.forms import FORMS
from projections.patches import Form, Key, Patch, Rows
from projections.places import sources
from projections.positions import Position, PositionRows
from projections.statements import encoding_of
from projections.stored import StoredRows, key_of, key_places
from projections.tail import Reached, Source, Tail

NOTHING = "no row"


@dataclass(frozen=True, slots=True)
class Difference:
    """`column` is None where a row is missing or there is one too many. The address is that of the event that wrote the row last."""

    table: str
    key: Key
    column: str | None
    expected: object
    found: object
    address: str

    def __str__(self) -> str:
        where = f"{self.table} {self.key}" + (f" {self.column}" if self.column else "")
        return f"{where}: expected {self.expected!r}, found {self.found!r} (event {self.address})"


@dataclass(slots=True)
class Verified:
    """What was compared."""

    rows: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    differences: int = 0


Report = Callable[[Verified], None]


async def verify(settings: Settings, verified: Verified, report: Report = lambda verified: None) -> AsyncGenerator[Difference, None]:
    """Each difference, as it is found; `verified` counts. Raises `ChainBroken`, `Conflict`, `Unavailable`, `Misconfigured`."""
    identity = await check_identity(settings)
    with connect(settings) as connection:
        connection.autocommit = False
        connection.isolation_level = IsolationLevel.REPEATABLE_READ  # positions and rows of one moment
        stored = StoredTables(connection, settings.database.table_schema)
        try:
            for source in sources(identity):
                position = stored.position(source)
                tail = await _folded(settings, identity, source, position)
                verified.commits += position.seq
                changes = tail.changes
                for form, rows_of in FORMS:
                    for difference in stored.compare(form, source, rows_of(changes), verified):
                        verified.differences += 1
                        yield difference
                report(verified)
        except UndefinedTable as error:
            raise not_upgraded(settings) from error


async def _folded(settings: Settings, identity: LogIdentity, source: Source, position: Position) -> Tail:
    """The partition up to the position, which has to be a commit of it."""
    tail = Tail(identity.log_id, Reached(Head(*source)), fold_of(source[0], identity.partitions))
    if position.seq:
        async with (
            LogReader(settings, *source) as reader,
            aclosing(reader.batches(0, position.offset + 1)) as batches,
        ):
            async for batch in batches:
                tail.feed(batch.records)
                if tail.broken is not None:
                    raise tail.broken
    head = tail.reached.head
    if (head.seq, head.digest) != (position.seq, position.digest):
        raise Conflict(
            f"the tables stand at commit {position.seq} of {source[0]}[{source[1]}] with digest {position.digest or 'none'}, "
            f"the log has commit {head.seq} there, with {head.digest or 'none'}: they are not of this log, "
            "run `jobledger projections rebuild`"
        )
    return tail


class StoredTables:
    """The tables, to be compared with the rows of the folds."""

    def __init__(self, connection: Connection[TupleRow], schema: str) -> None:
        self._connection = connection
        self._rows = StoredRows(connection, schema)
        self._positions = PositionRows(schema)

    def position(self, source: Source) -> Position:
        return self._positions.read(self._connection, source) or Position("", 0, -1, "")

    def compare(self, form: Form, source: Source, expected: Rows, verified: Verified) -> Iterator[Difference]:
        documents = frozenset(encoding_of(form.table, form.columns).documents)
        places = key_places(form)
        for found in self._rows.of(form, source):
            verified.rows[form.table] = verified.rows.get(form.table, 0) + 1
            key = key_of(found, places)
            row = expected.pop(key, None)
            if not row:
                yield Difference(form.table, key, None, NOTHING, form.named(found), _address(source, found))
            elif row != found:
                yield from _columns(form, source, key, row, found, documents)
        for key, row in expected.items():
            if row:
                yield Difference(form.table, key, None, form.named(row), NOTHING, _address(source, row))


def _columns(form: Form, source: Source, key: Key, expected: Patch, found: Patch, documents: frozenset[int]) -> Iterator[Difference]:
    for place, (wanted, is_there) in enumerate(zip(expected, found, strict=True)):
        if wanted != is_there and not (place in documents and _same_document(wanted, is_there)):
            yield Difference(form.table, key, form.columns[place], wanted, is_there, _address(source, expected))


def _same_document(wanted: object, found: object) -> bool:
    """Postgres keeps a document in a form of its own: spaces, the order of names and the spelling of numbers are not kept."""
    return isinstance(wanted, bytes) and isinstance(found, bytes) and bool(orjson.loads(wanted) == orjson.loads(found))


def _address(source: Source, row: Patch) -> str:
    _, seq, index, offset = row[-4:]
    return f"{source[0]}[{source[1]}] seq {seq!r} index {index!r} at offset {offset!r}"
