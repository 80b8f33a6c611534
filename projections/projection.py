"""What a projection is: tables, a pure fold from events to their rows, and a version of both. All the rest is the same for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import Table

from ledger.core.wire import Event
from projections.memory import Memory
from projections.patches import Changes, Form, Place, Rows, Source

if TYPE_CHECKING:
    from projections.stored import StoredRows

LIVE: Final = ""  # suffix of the tables that are read and kept up to date
NEXT: Final = "_next"  # of those that a rebuild makes beside them
OLD: Final = "_old"  # of those that were live before and were kept
HELD: Final = "_held"  # of what a rebuild holds back, behind `NEXT`
ASIDE: Final = "_aside"  # while two sets change places
SUFFIXES: Final = (NEXT, OLD, HELD, ASIDE)  # no table's own name ends with one

Fold = Callable[[Changes, Event, Place, int], None]
RowsOf = Callable[[Changes], Rows]


@dataclass(frozen=True, slots=True)
class Projection:
    """`version`: of the fold and of the tables; another meaning or another shape needs a higher one, and a rebuild. `fold`: of one
    partition of a log (its name, the number of partitions of the events, what was folded there before). `remember`: what it has to know
    of what was folded before, from the tables. `split`: what will not change any more, and what may."""

    name: str
    version: int
    tables: tuple[tuple[Form, RowsOf], ...]
    fold: Callable[[str, int, Memory], Fold]
    remember: "Callable[[StoredRows, Source], Memory]"
    split: Callable[[Changes], tuple[Changes, Changes]]
    views: Mapping[str, str] = field(default_factory=dict)

    @property
    def forms(self) -> tuple[Form, ...]:
        return tuple(form for form, _ in self.tables)

    @property
    def names(self) -> list[str]:
        """Of all that stands in the schema for it."""
        return [*(name for form in self.forms for name in names_of(form.definition)), *self.views]


def names_of(table: Table) -> list[str]:
    """A table's, those of its key and of its indexes: Postgres tells none of them from the others."""
    return [str(name) for name in (table.name, table.primary_key.name, *(index.name for index in table.indexes))]
