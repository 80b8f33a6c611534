"""`execution_attempts`: each try, who made it and how it ended. A start writes the row whole."""

from typing import Final

from ledger.core.execution import (
    AttemptFailed,
    AttemptLost,
    Cancelled,
    Completed,
    Event,
    Failed,
    HandedBack,
    Lost,
    Requested,
    Skipped,
    Snoozed,
    Started,
)
from projections.forms import ATTEMPTS
from projections.patches import Place, Rows

_STATE, _FINISHED, _RUN_MS, _ERROR_TYPE, _ERROR_MESSAGE = map(
    ATTEMPTS.columns.index, ("state", "finished_at", "run_ms", "error_type", "error_message")
)
_ADDRESS: Final = ATTEMPTS.columns.index("log_partition")


def fold(rows: Rows, event: Event, place: Place, index: int) -> None:
    """An event that says nothing of an attempt changes nothing."""
    if type(event) is Requested:
        return  # asked first: it comes most, and would be compared with all the others
    match event:
        case Started():
            _start(rows, event, place, index)
        case Completed():
            _end(rows, event, place, index, "completed", event.run_ms, None, None)
        case Failed() | AttemptFailed():
            _end(rows, event, place, index, event.state, event.run_ms, event.error_type, event.error_message)
        case HandedBack():
            _end(rows, event, place, index, "handed_back", event.run_ms, None, None)
        case Snoozed():
            _end(rows, event, place, index, "snoozed", event.run_ms, None, None)
        case Cancelled(attempt=attempt) if attempt > 0:
            _end(rows, event, place, index, "cancelled", event.run_ms, None, None)
        case Skipped(attempt=attempt) if attempt > 0:
            _end(rows, event, place, index, "skipped", None, None, None)
        case AttemptLost() | Lost():
            _end(rows, event, place, index, "lost", None, None, None)
        case _:
            pass


def _start(rows: Rows, event: Started, place: Place, index: int) -> None:
    partition, seq, offset, at = place
    rows[event.execution_id, event.attempt] = [
        event.execution_id,
        event.attempt,
        event.token,
        event.worker,
        "active",
        at,
        None,  # finished_at
        None,  # run_ms
        None,  # error_type
        None,  # error_message
        partition,
        seq,
        index,
        offset,
    ]


_Ending = Completed | Failed | AttemptFailed | HandedBack | Snoozed | AttemptLost | Lost | Cancelled | Skipped


def _end(
    rows: Rows, event: _Ending, place: Place, index: int, state: str, run_ms: int | None, error_type: str | None, message: str | None
) -> None:
    key = (event.execution_id, event.attempt)
    row = rows.get(key)
    if row is None:
        row = rows[key] = ATTEMPTS.blank()
    partition, seq, offset, at = place
    row[_STATE], row[_FINISHED], row[_RUN_MS], row[_ERROR_TYPE], row[_ERROR_MESSAGE] = state, at, run_ms, error_type, message
    row[_ADDRESS:] = (partition, seq, index, offset)
