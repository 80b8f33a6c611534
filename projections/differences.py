"""What differs between a row of the fold and that of a table, column by column, in the words that are shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from projections.comparing import Pair
from projections.patches import Form, Key, Patch, Source
from projections.positions import Position
from projections.statements import encoding_of
from projections.tail import Reached

NOTHING: Final = "no row"
POSITIONS: Final = "projection_positions"


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


def differences_of(source: Source, pair: Pair) -> Iterator[Difference]:
    form, key = pair.form, pair.key
    if pair.expected is None or pair.found is None:
        row = pair.expected or pair.found
        assert row is not None
        named = form.named(row)
        expected, found = (named, NOTHING) if pair.found is None else (NOTHING, named)
        yield Difference(form.table, key, None, expected, found, _address(source, row))
        return
    documents = frozenset(encoding_of(form, form.columns).documents)
    for place, (wanted, is_there) in enumerate(zip(pair.expected, pair.found, strict=True)):
        if wanted != is_there and not (place in documents and _same_document(wanted, is_there)):
            yield Difference(form.table, key, form.columns[place], wanted, is_there, _address(source, pair.expected))


def of_position(source: Source, position: Position, reached: Reached) -> Iterator[Difference]:
    """The position has to be a commit of the log. (Voids behind it may have been counted already.)"""
    head = reached.head
    log = (("log_seq", head.seq), ("log_offset", reached.offset), ("digest", head.digest))
    there = (position.seq, position.offset, position.digest)
    for (column, wanted), found in zip(log, there, strict=True):
        if wanted != found:
            address = f"{source[0]}[{source[1]}] seq {head.seq} at offset {reached.offset}"
            yield Difference(POSITIONS, source, column, wanted, found, address)


def source_of(form: Form, row: Patch) -> Source:
    """Which partition the row says has written it."""
    log = form.log or row[form.columns.index("log")]
    return str(log), int(str(row[-4]))


def _same_document(wanted: object, found: object) -> bool:
    """Postgres keeps a document in a form of its own: the spelling of numbers is not kept."""
    return isinstance(wanted, bytes) and isinstance(found, bytes) and bool(orjson.loads(wanted) == orjson.loads(found))


def _address(source: Source, row: Patch) -> str:
    _, seq, index, offset = row[-4:]
    return f"{source[0]}[{source[1]}] seq {seq!r} index {index!r} at offset {offset!r}"
