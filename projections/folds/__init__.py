"""From events to patches, one module a table. Pure: an event and its place lead to the same patch for every reader, always.

A fold gathers into `Changes`, whose patches it makes or changes in place. The same folds serve the consumer, the rebuild and the verify.
"""

from collections.abc import Callable
from typing import Final

from ledger.core import definition, execution, outcome
from ledger.core.wire import Event
from projections.folds import attempts, definitions, executions, outcomes, versions
from projections.patches import Changes, Place

PROJECTION: Final = "tables"  # its name in projection_positions
VERSION: Final = 1  # of the folds: a changed meaning of a column needs a new one, and a rebuild

Fold = Callable[[Changes, Event, Place, int], None]


def fold_of(log: str, partitions: int) -> Fold:
    """The fold of one log. `partitions`: of the log of events; it decides where a job is at home."""
    if log == "events":
        return fold_events

    def fold_registry(changes: Changes, event: Event, place: Place, index: int) -> None:
        if isinstance(event, definition.Event):
            definitions.fold(changes.definitions, event, place, index, partitions)
            versions.fold(changes.versions, event, place, index)
        elif isinstance(event, outcome.Event):
            outcomes.fold(changes.outcomes, event, place, index, "registry")

    return fold_registry


def fold_events(changes: Changes, event: Event, place: Place, index: int) -> None:
    """The fold of the log of events. Ticks get their table with the schedules."""
    if isinstance(event, execution.Event):
        executions.fold(changes.executions, event, place, index)
        attempts.fold(changes.attempts, event, place, index)
    elif isinstance(event, outcome.Event):
        outcomes.fold(changes.outcomes, event, place, index, "events")
