"""From events to patches, one module a table. Pure: an event, its place and what was folded before lead to the same patch, always.

A fold gathers into `Changes`, whose patches it makes or changes in place. The same folds serve the consumer, the rebuild and the verify.
"""

from typing import Final

from ledger.core import backfill, bulk, definition, execution, outcome, pause, tick
from ledger.core.execution import Requested
from ledger.core.wire import Event
from projections.folds import attempts, bulk_acts, definitions, executions, outcomes, pauses, statuses, ticks, versions
from projections.memory import Memory
from projections.patches import Changes, Place
from projections.projection import Fold

PROJECTION: Final = "tables"  # its name in projection_positions
VERSION: Final = 2  # of the folds: a changed meaning of a column needs a new one, and a rebuild


def fold_of(log: str, partitions: int, memory: Memory | None = None) -> Fold:
    """The fold of one partition of a log. `partitions`: of the log of events; it decides where a job is at home. `memory`: where a fold
    goes on that does not begin with the first commit."""
    memory = memory or Memory()
    return _fold_of_events(memory) if log == "events" else _fold_of_registry(memory, partitions)


def _fold_of_registry(memory: Memory, partitions: int) -> Fold:
    def fold(changes: Changes, event: Event, place: Place, index: int) -> None:
        if isinstance(event, definition.Event):
            definitions.fold(memory, changes.definitions, event, place, index, partitions)
            versions.fold(changes.versions, event, place, index)
        elif isinstance(event, outcome.Event):
            outcomes.fold(changes.outcomes, event, place, index, "registry")
        elif isinstance(event, pause.Event):
            pauses.fold(memory, changes.pauses, event, place, index)
            definitions.fold_pause(memory, changes.definitions, event, place, index)

    return fold


def _fold_of_events(memory: Memory) -> Fold:
    runs = memory.runs

    def fold(changes: Changes, event: Event, place: Place, index: int) -> None:
        if isinstance(event, execution.Event):
            executions.fold(changes.executions, event, place, index)
            attempts.fold(changes.attempts, event, place, index)
            if type(event) is Requested:
                if event.kind != "on_demand":
                    runs[event.execution_id] = event.job_id
                    if event.trigger == "schedule":
                        ticks.fold(changes.ticks, event, place, index)
                        statuses.fold(memory.statuses, changes.statuses, event, place, index)
            elif runs and type(event) in statuses.ENDS and (job_id := runs.pop(event.execution_id, None)) is not None:
                statuses.end(memory.statuses, changes.statuses, job_id, event, place, index)
        elif isinstance(event, outcome.Event):
            outcomes.fold(changes.outcomes, event, place, index, "events")
            if isinstance(event, outcome.Accepted | outcome.Rejected) and event.bulk_id is not None:
                bulk_acts.count(memory.bulk_acts, changes.bulk_acts, event, place, index)
        elif isinstance(event, tick.Event):
            ticks.fold(changes.ticks, event, place, index)
            statuses.fold(memory.statuses, changes.statuses, event, place, index)
        elif isinstance(event, backfill.Event):
            bulk_acts.fold(memory.bulk_acts, changes.bulk_acts, event, place, index)
        elif isinstance(event, bulk.Event):
            bulk_acts.fold_bulk(memory.bulk_acts, changes.bulk_acts, event, place, index)

    return fold
