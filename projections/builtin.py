"""Our own tables as a projection."""

from typing import Final

from psycopg.sql import SQL

from projections.folds import PROJECTION, VERSION, fold_of
from projections.forms import BULK_ACTS, DEFINITIONS, EXECUTIONS, FORMS, PAUSES, STATUSES
from projections.memory import Memory
from projections.patches import Changes, Source
from projections.projection import Projection
from projections.stored import StoredRows
from projections.tables import VIEWS

_FINISHED: Final = EXECUTIONS.columns.index("finished_at")
_ID, _JOB = map(EXECUTIONS.columns.index, ("execution_id", "job_id"))
_UNDER_WAY: Final = SQL("finished_at IS NULL")
_SCHEDULED: Final = SQL("finished_at IS NULL AND kind <> 'on_demand'")


def split(changes: Changes) -> tuple[Changes, Changes]:
    """Rows that the folds keep are few and stay until the end."""
    held = Changes(definitions=changes.definitions, statuses=changes.statuses, pauses=changes.pauses, bulk_acts=changes.bulk_acts)
    ended = Changes(versions=changes.versions, outcomes=changes.outcomes, ticks=changes.ticks)
    for key, row in changes.executions.items():
        (ended if isinstance(row[_FINISHED], int) else held).executions[key] = row
    for key, row in changes.attempts.items():
        (held if key[0] in held.executions else ended).attempts[key] = row
    return ended, held


def remember(stored: StoredRows, source: Source) -> Memory:
    runs = stored.of(EXECUTIONS, source, _SCHEDULED) if source[0] == "events" else iter(())
    return Memory(
        stored.kept(DEFINITIONS, source),
        stored.kept(PAUSES, source),
        stored.kept(STATUSES, source),
        stored.kept(BULK_ACTS, source, _UNDER_WAY),
        {str(row[_ID]): str(row[_JOB]) for row in runs},
    )


TABLES: Final = Projection(PROJECTION, VERSION, FORMS, fold_of, remember, split, VIEWS)
