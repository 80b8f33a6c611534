"""`job_executions`: where each execution stands. Its first event writes the row whole, each later one what it changes."""

from typing import Final, assert_never

from msgspec import UNSET, json

from ledger.core.execution import (
    AttemptFailed,
    AttemptLost,
    Blocked,
    Cancelled,
    CancelRequested,
    Completed,
    Due,
    Event,
    Failed,
    HandedBack,
    Lost,
    Missed,
    Progressed,
    ReportRefused,
    Requested,
    Skipped,
    Snoozed,
    Started,
)
from projections.folds.body import body
from projections.forms import EXECUTIONS
from projections.patches import Patch, Place, Rows

_column = EXECUTIONS.columns.index
_STATE, _REASON, _ATTEMPT, _WORKER, _RESULT = map(_column, ("state", "reason", "attempt", "worker", "result"))
_WAITING_REASON, _BLOCKED_BY = map(_column, ("waiting_reason", "blocked_by"))
_PROGRESS, _NOTE = map(_column, ("progress", "progress_note"))
_ERROR_TYPE, _ERROR_MESSAGE = map(_column, ("error_type", "error_message"))
_ELIGIBLE, _FIRST_STARTED, _STARTED, _FINISHED = map(_column, ("eligible_at", "first_started_at", "started_at", "finished_at"))
_DEADLINE, _LAST_REPORT, _WAIT_MS, _RUN_MS = map(_column, ("deadline_at", "last_report_at", "wait_ms", "run_ms"))
_ADDRESS: Final = _column("log_partition")


def fold(rows: Rows, event: Event, place: Place, index: int) -> None:
    """A refused report changes nothing. The cases stand in the order of their frequency: this is the hottest code of a rebuild."""
    if isinstance(event, Requested):
        rows[event.execution_id] = _requested(event, place, index)
        return
    if isinstance(event, ReportRefused):
        return
    row = rows.get(event.execution_id)
    if row is None:
        row = rows[event.execution_id] = EXECUTIONS.blank()
    partition, seq, offset, at = place
    row[_ADDRESS:] = (partition, seq, index, offset)
    match event:
        case Started():
            _start(row, event, at)
        case Completed():
            row[_STATE], row[_FINISHED], row[_LAST_REPORT], row[_RUN_MS] = "completed", at, at, event.run_ms
            row[_RESULT] = body(event.result)
            row[_ERROR_TYPE] = row[_ERROR_MESSAGE] = None
        case Progressed(_, _, progress, note):
            row[_STATE], row[_PROGRESS], row[_NOTE], row[_LAST_REPORT] = "processing", progress, note, at
        case AttemptFailed():
            _wait_again(row, "delayed", event.retry_at)
            _fail(row, event, at)
        case Failed():
            row[_STATE], row[_FINISHED] = event.state, at
            _fail(row, event, at)
        case Due():
            row[_STATE], row[_ELIGIBLE] = "waiting", at
            row[_WAITING_REASON] = row[_BLOCKED_BY] = None
        case HandedBack():
            _wait_again(row, "waiting", at)
            row[_LAST_REPORT], row[_RUN_MS] = at, event.run_ms
        case Snoozed():
            _wait_again(row, "delayed", event.until)
            row[_LAST_REPORT], row[_RUN_MS] = at, event.run_ms
        case AttemptLost():
            _wait_again(row, "waiting", at)
        case Lost():
            row[_STATE], row[_FINISHED] = "lost", at
        case Missed():
            _end_unrun(row, "missed", event.reason, at)
        case Skipped():
            _end_unrun(row, "skipped", event.reason, at)
            row[_ERROR_MESSAGE] = event.detail
        case Cancelled():
            _end_unrun(row, "cancelled", event.reason, at)
            row[_ERROR_MESSAGE] = event.detail
            if event.attempt:
                row[_LAST_REPORT], row[_RUN_MS] = at, event.run_ms
        case Blocked():
            row[_STATE], row[_ELIGIBLE], row[_WAITING_REASON], row[_BLOCKED_BY] = "waiting", at, "exclusive", event.by
        case CancelRequested():
            pass  # it goes on until it stops
        case _:
            assert_never(event)


def _start(row: Patch, event: Started, at: int) -> None:
    row[_STATE], row[_ATTEMPT], row[_WORKER], row[_STARTED] = "active", event.attempt, event.worker, at
    row[_DEADLINE], row[_LAST_REPORT], row[_WAIT_MS] = event.deadline_at, at, event.waited_ms
    row[_PROGRESS] = row[_NOTE] = None
    if row[_FIRST_STARTED] is None or row[_FIRST_STARTED] is UNSET:
        row[_FIRST_STARTED] = at


def _fail(row: Patch, event: Failed | AttemptFailed, at: int) -> None:
    row[_ERROR_TYPE], row[_ERROR_MESSAGE] = event.error_type, event.error_message
    row[_LAST_REPORT], row[_RUN_MS] = at, event.run_ms


def _wait_again(row: Patch, state: str, eligible_at: int) -> None:
    """An attempt is over and the execution is not: what belongs to a running attempt is cleared."""
    row[_STATE], row[_ELIGIBLE] = state, eligible_at
    row[_PROGRESS] = row[_NOTE] = row[_WORKER] = row[_STARTED] = row[_DEADLINE] = None


def _end_unrun(row: Patch, state: str, reason: str, at: int) -> None:
    """Its end has another reason than its code."""
    row[_STATE], row[_REASON], row[_FINISHED] = state, reason, at
    row[_WAITING_REASON] = row[_BLOCKED_BY] = None


def _requested(event: Requested, place: Place, index: int) -> Patch:
    partition, seq, offset, at = place
    run_at = event.run_at
    delayed = run_at is not None and run_at > at
    return [
        event.execution_id,
        event.job_id,
        event.job_name,
        event.job_version,
        event.kind,
        event.queue,
        event.tenant,
        None if event.labels is None else json.encode(event.labels),
        event.exclusive_key,
        event.trigger,
        "delayed" if delayed else "waiting",
        None,  # reason
        None if event.blocked_by is None else "overlap" if event.exclusive_key is None else "exclusive",
        event.blocked_by,
        event.priority,
        0,  # attempt
        None,  # progress
        None,  # progress_note
        None,  # worker
        body(event.data),
        None,  # result
        None,  # error_type
        None,  # error_message
        event.requested_at,
        run_at,
        run_at if delayed else at,
        None,  # first_started_at
        None,  # started_at
        None,  # finished_at
        event.start_deadline,
        None,  # last_report_at
        None,  # wait_ms
        None,  # run_ms
        event.tick_at,
        event.retry_of,
        event.backfill_id,
        event.command_id,
        event.idempotency_key,
        event.actor,
        event.correlation_id,
        event.trace_id,
        offset,  # requested_offset
        partition,
        seq,
        index,
        offset,
    ]
