"""Decisions on one execution: reports, timers, losses, cancels. A refusal is an event too. Source: architecture.md, sections 5 and 6."""

from typing import Literal, assert_never

from ledger.core.execution import (
    LONGEST_RETRY_MS,
    Active,
    AttemptFailed,
    AttemptLost,
    BecomeDue,
    Buffered,
    Cancel,
    Cancelled,
    CancelRequested,
    Command,
    Completed,
    Delayed,
    Due,
    Ended,
    Event,
    Expire,
    Failed,
    GiveUp,
    HandedBack,
    Lose,
    Lost,
    Missed,
    Progressed,
    Release,
    Report,
    ReportRefused,
    Skipped,
    Snoozed,
    Started,
    State,
    Waiting,
)
from ledger.core.ids import Micros
from ledger.core.instants import MILLISECOND


def decide(command: Command, state: State | None, at: Micros) -> list[Event]:
    """The events that `command` leads to; none where it is so already. A refusal is an event too."""
    match command:
        case Report():
            return _decide_report(command, state, at)
        case BecomeDue(execution_id):
            return [Due(execution_id)] if isinstance(state, Delayed) and state.until <= at else []
        case Expire(execution_id):
            return [Missed(execution_id, "start_deadline")] if _start_is_too_late(state, at) else []
        case Lose(execution_id, worker, most):
            if not isinstance(state, Active) or state.worker != worker:
                return []
            if state.cancel is not None:
                return [_cancelled(state.cancel, state.attempt)]
            if state.lost + 1 >= most:
                return [Lost(execution_id, state.attempt, worker)]
            return [AttemptLost(execution_id, state.attempt, worker)]
        case Cancel():
            return _decide_cancel(command, state)
        case Release(execution_id):
            return [Due(execution_id)] if isinstance(state, Buffered) else []
        case GiveUp():
            return _decide_to_give_up(command, state)
        case _:
            assert_never(command)


def _decide_to_give_up(command: GiveUp, state: State | None) -> list[Event]:
    if not isinstance(state, Waiting) or state.token != command.token:
        return []
    request = state.request
    detail = (
        f"for {command.grace:g} s no worker of queue {request.queue} had a handler for version {request.job_version} of "
        f"{request.job_name}: deploy one, then retry it"
    )
    return [Skipped(command.execution_id, "no_worker_for_version", None, detail)]


def _start_is_too_late(state: State | None, at: Micros) -> bool:
    if not isinstance(state, Waiting | Delayed | Buffered) or state.attempt > 1 or state.lost > 0:
        return False
    if not isinstance(state, Buffered) and state.began:
        return False
    return state.request.start_deadline is not None and state.request.start_deadline <= at


def _decide_cancel(command: Cancel, state: State | None) -> list[Event]:
    request = CancelRequested(command.execution_id, command.reason, command.because_of, command.actor, command.detail)
    match state:
        case Active() if command.reason == "terminate_other" and state.request.exclusive_key is None:
            return [_cancelled(request, state.attempt)]
        case Active():
            is_news = state.cancel is None or (command.reason == "asked" and state.cancel.reason != "asked")  # a person's word is forced
            return [request] if is_news else []
        case Waiting() | Delayed() | Buffered():
            return [_cancelled(request, 0)]
        case _:
            return []


def _cancelled(request: CancelRequested, attempt: int, run_ms: int = 0, detail: str | None = None) -> Cancelled:
    return Cancelled(request.execution_id, request.reason, attempt, run_ms, request.because_of, request.actor, detail or request.detail)


def _decide_report(report: Report, state: State | None, at: Micros) -> list[Event]:
    match state:
        case Waiting() if report.outcome == "handed_back":
            return []  # it waits already
        case Waiting(token=token) | Active(token=token) if token == report.token and report.outcome == "skipped":
            return _decide_skip(report, state)
        case Waiting(token=token, attempt=attempt) if token == report.token:
            started = _started(report, state, at)
            return [started, *_further(report, attempt, None, at)]
        case Active(token=token, worker=worker) if token == report.token and worker == report.worker:
            return _further(report, state.attempt, state, at)
        case Ended(token=token, worker=worker) if token == report.token and worker == report.worker:
            return []  # said before
        case Active(token=token) | Ended(token=token) if token == report.token:
            return [_refused(report, "not_the_worker")]
        case None:
            return [_refused(report, "unknown_execution")]
        case Delayed() if report.outcome in ("failed", "timed_out", "snoozed"):
            return []  # what led to this delay, said again
        case _:
            return [_refused(report, "stale_token")]


def _decide_skip(report: Report, state: Waiting | Active) -> list[Event]:
    """Said instead of a start, or by the worker that started it."""
    if isinstance(state, Active) and state.worker != report.worker:
        return [_refused(report, "not_the_worker")]
    attempt = state.attempt if isinstance(state, Active) else 0
    return [Skipped(report.execution_id, report.skip_reason or "version_too_old", report.worker, report.error_message, attempt)]


def _started(report: Report, state: Waiting, at: Micros) -> Started:
    waited = max(0, (at - state.eligible_at) // MILLISECOND - report.ago_ms)
    deadline = None if report.timeout_ms is None else Micros(at + (report.timeout_ms - report.ago_ms) * MILLISECOND)
    return Started(report.execution_id, state.attempt, report.token, report.worker, waited, deadline)


def _further(report: Report, attempt: int, active: Active | None, at: Micros) -> list[Event]:
    """What the report says beyond the start."""
    execution_id = report.execution_id
    cancel = active.cancel if active is not None else None
    match report.outcome:
        case "completed":
            return [Completed(execution_id, attempt, report.run_ms, report.result)]
        case "failed" | "timed_out" as state:
            kind, message = report.error_type or "Error", report.error_message or ""
            if cancel is not None and report.retry_after_ms is not None:
                return [_cancelled(cancel, attempt, report.run_ms, message)]
            if report.retry_after_ms is None:
                return [Failed(execution_id, attempt, state, kind, message, report.run_ms)]
            return [AttemptFailed(execution_id, attempt, state, kind, message, _after(report.retry_after_ms, at), report.run_ms)]
        case "cancelled":
            wish = cancel or CancelRequested(execution_id, "by_handler")
            return [_cancelled(wish, attempt, report.run_ms, report.error_message)]
        case "handed_back" | "snoozed" if cancel is not None:
            return [_cancelled(cancel, attempt, report.run_ms)]
        case "skipped":
            raise AssertionError("a skip is decided before a start")
        case "snoozed":
            return [Snoozed(execution_id, attempt, _after(report.retry_after_ms, at), report.run_ms)]
        case "handed_back":
            return [HandedBack(execution_id, attempt, report.worker, report.run_ms)]
        case None:
            news = report.progress is not None and (active is None or (active.progress, active.note) != (report.progress, report.note))
            return [Progressed(execution_id, attempt, report.progress, report.note)] if news and report.progress is not None else []
        case _:
            assert_never(report.outcome)


def _after(delay_ms: int | None, at: Micros) -> Micros:
    return Micros(at + min(max(delay_ms or 0, 0), LONGEST_RETRY_MS) * MILLISECOND)


def _refused(report: Report, reason: Literal["unknown_execution", "stale_token", "not_the_worker", "not_started"]) -> ReportRefused:
    return ReportRefused(report.execution_id, report.token, report.worker, reason)
