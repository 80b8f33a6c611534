"""What a fold says about rows: patches, and the tables that take them. Nothing here reads a clock or a server.

A patch is a list in the order of the table's columns; `UNSET` leaves a column as it is, None clears it. A *whole* patch sets every column
and replaces the row. A fold changes the patch that it made of the same row before, so a log may be folded in pieces of any size: written
one after the other they lead to the same rows. (Lists and not dicts: a rebuild makes millions, and they are four times as small and twice
as fast.)

Rows of small tables that an event changes by what stands there are *kept*: the fold remembers them (`memory.py`) and writes them whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import UNSET, UnsetType
from sqlalchemy import Table

from ledger.core.refusal import Conflict

Value = str | int | bytes | None  # an instant is its microseconds, JSON its bytes
Patch = list[Value | UnsetType]
Key = tuple[str | int, ...] | str  # of one column: its value; of several: their values
Rows = dict[Key, Patch]
Source = tuple[str, int]  # a log and a partition of it
GONE: Final[Patch] = []  # in the place of a patch: the row is no more


class Place(NamedTuple):
    """Where a commit stands, and its time. An event's address is this and its index in the commit."""

    partition: int
    seq: int
    offset: int
    at: int


@dataclass(frozen=True, slots=True)
class Form:
    """How rows of a table take patches. `definition`: its columns and indexes, as SQL has them. The columns end with the event's address;
    the first one belongs to the key and is set only by a whole patch. `set_once`: a column that keeps its first value until the row is
    replaced. `log`: the only log that writes it, if so."""

    table: str
    definition: Table = field(repr=False, compare=False)
    columns: tuple[str, ...]
    key: tuple[str, ...]
    mutable: tuple[int, ...] = ()  # places of the columns that a patch may set which is not whole
    set_once: int | None = None
    log: str | None = None
    is_kept: bool = False  # each patch is whole, or `GONE`

    def blank(self) -> Patch:
        return [UNSET] * len(self.columns)

    def set_by(self, patch: Patch) -> tuple[int, ...]:
        """The places of the columns that a patch sets which is not whole."""
        return tuple([place for place in self.mutable if patch[place] is not UNSET])

    def contradiction(self, *keys: Key) -> "Contradiction":
        return Contradiction(self, keys)

    def named(self, patch: Patch) -> dict[str, Value]:
        """The patch as people read it."""
        return {name: value for name, value in zip(self.columns, patch, strict=True) if not isinstance(value, UnsetType)}


def is_whole(patch: Patch) -> bool:
    return patch[0] is not UNSET


class Contradiction(Conflict):
    """A patch for a row that is not there: a row was lost, or the log was not written by our decisions."""

    def __init__(self, form: Form, keys: Iterable[Key]) -> None:
        super().__init__(
            f"{form.table} has no row {', '.join(map(repr, keys))} to change: "
            "run `jobledger projections verify`, then `jobledger projections rebuild`"
        )


@dataclass(slots=True)
class Changes:
    """The patches that a stretch of a log leads to, one a row. Starting from none, a whole log leads to the tables."""

    definitions: Rows = field(default_factory=dict)
    versions: Rows = field(default_factory=dict)
    executions: Rows = field(default_factory=dict)
    attempts: Rows = field(default_factory=dict)
    outcomes: Rows = field(default_factory=dict)
    ticks: Rows = field(default_factory=dict)
    statuses: Rows = field(default_factory=dict)
    pauses: Rows = field(default_factory=dict)
    bulk_acts: Rows = field(default_factory=dict)
    own: dict[str, Rows] = field(default_factory=dict)  # of a projection that is not ours, by table

    def __len__(self) -> int:
        few = (self.definitions, self.versions, self.outcomes, self.statuses, self.pauses, self.bulk_acts)
        return len(self.executions) + len(self.attempts) + len(self.ticks) + sum(map(len, few)) + sum(map(len, self.own.values()))
