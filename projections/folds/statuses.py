"""`job_status`: each scheduled job as its home partition sees it. The same rules as control's own fold of schedules (`core/tick.py`)."""

from typing import Final, assert_never

from ledger.core.execution import Cancelled, Completed, Failed, Lost, Missed, Requested, Skipped, state_at_end
from ledger.core.execution import Event as OfExecution
from ledger.core.tick import Adopted, AutoPaused, AutoResumed, Dropped, Event, SkipOrdered
from ledger.core.tick import Missed as TickMissed
from ledger.core.tick import Skipped as TickSkipped
from projections.forms import STATUSES
from projections.memory import put, to_change
from projections.patches import Patch, Place, Rows

_column = STATUSES.columns.index
_VERSION, _NEXT, _LAST_TICK = map(_column, ("in_force_version", "next_tick_at", "last_tick_at"))
_LAST_STATE, _LAST_FINISHED, _FAILURES = map(_column, ("last_state", "last_finished_at", "consecutive_failures"))
_PAUSED, _FIRINGS = map(_column, ("auto_paused_note", "firings"))
_ADDRESS: Final = _column("log_partition")

ENDS: Final = frozenset({Completed, Failed, Lost, Missed, Skipped, Cancelled})


def fold(kept: Rows, changed: Rows, event: Event | Requested, place: Place, index: int) -> None:
    """What a tick, or something about the schedule, changes."""
    row = to_change(kept, changed, event.job_id)
    if row is None:
        if not isinstance(event, Adopted):
            return  # of a schedule that is not in force any more
        row = _blank(event.job_id)
        put(kept, changed, event.job_id, row)
    match event:
        case Adopted(_, number):
            row[_VERSION], row[_NEXT], row[_FIRINGS] = number, event.next_tick_at, event.fired
        case Dropped():
            row[_VERSION], row[_NEXT], row[_FIRINGS], row[_FAILURES], row[_PAUSED] = None, None, 0, 0, None
        case Requested():
            row[_LAST_TICK], row[_NEXT], row[_FIRINGS] = event.tick_at, event.next_tick_at, _number(row[_FIRINGS]) + 1
        case TickSkipped() | TickMissed():
            row[_LAST_TICK], row[_NEXT] = event.last_tick_at, event.next_tick_at
        case AutoPaused():
            row[_PAUSED] = event.note
        case AutoResumed():
            row[_PAUSED], row[_FAILURES] = None, 0
        case SkipOrdered():
            pass  # the tick is expected still, and will be skipped
        case _:
            assert_never(event)
    row[_ADDRESS:] = (place.partition, place.seq, index, place.offset)


def end(kept: Rows, changed: Rows, job_id: str, event: OfExecution, place: Place, index: int) -> None:
    """An execution of the job ended, whoever asked for it."""
    row = to_change(kept, changed, job_id)
    if row is None:
        return  # the job has no schedule
    row[_LAST_STATE], row[_LAST_FINISHED] = state_at_end(event), place.at
    if isinstance(event, Completed):
        row[_FAILURES] = 0
    elif isinstance(event, Failed | Lost) and row[_VERSION] is not None:
        row[_FAILURES] = _number(row[_FAILURES]) + 1
    row[_ADDRESS:] = (place.partition, place.seq, index, place.offset)


def _blank(job_id: str) -> Patch:
    row: Patch = [None] * len(STATUSES.columns)
    row[0], row[_FAILURES], row[_FIRINGS] = job_id, 0, 0
    return row


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
