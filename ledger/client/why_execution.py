"""`why EXECUTION_ID`: why an execution waits now, or ended so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.client.redis_reads import Standing
from ledger.client.why_words import Known, Spent, blocker_said, held_during, long, pause_said, said, spent_said
from ledger.client.why_workers import Unserved
from ledger.core.execution import Cancelled, CancelRequested, Requested
from projections.paging import micros_of
from projections.rows import Attempt, Execution, PastEvent
from projections.schedule_past import Held

ASKED: Final = {"cancel_other": "a newer one took its place", "terminate_other": "a newer one took its place at once"}


NOT_MENDED: Final = {  # errors after which no retry follows, however many are allowed
    "UnrecoverableError": "its code said that no retry would mend it",
    "invalid_data": "its handler does not take such data, which no retry mends",
    "invalid_result": "what its handler returned cannot be written, which no retry mends",
    "result_too_large": "what its handler returned is too large, which no retry mends",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """`kind` for programs, `text` for people. `execution_id`: the one that stands in the way."""

    kind: str
    text: str
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class WhyExecution:
    execution_id: str
    job_id: str
    job_version: int
    state: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """What was read about an execution. `line`: who holds its exclusivity key now, and who waits for it, in order; `busy`: how many run in
    its queue; `started`: how many of it started since this one waits; `spent`: what the time to its first start went into, or until it was
    missed; `limits`: those over all workers that concern it and are reached; `unserved`: no worker that lives can run it."""

    execution: Execution
    now: int
    attempts: Sequence[Attempt] = ()
    events: Sequence[PastEvent] = ()
    held: Sequence[Held] = ()
    line: Sequence[Execution] = ()
    blocker: Execution | None = None
    busy: int = 0
    started: int = 0
    spent: Sequence[Spent] = ()
    limits: Sequence[Standing] = ()
    unserved: Unserved | None = None


def explain_execution(around: Around) -> WhyExecution:
    """Pure. There is always at least one reason."""
    one = around.execution
    match one.state:
        case "delayed":
            reasons = [_delayed(around)]
        case "waiting":
            reasons = _waiting(around)
        case "active" | "processing":
            reasons = _running(around)
        case _:
            reasons = _ended(around)
    if around.spent:
        took, into = long(sum(part.ms for part in around.spent) * 1000), ", ".join(map(spent_said, around.spent))
        if one.first_started_at is not None:
            reasons.append(Reason("started_late", f"its first start came {took} after it was due: {into}"))
        else:
            reasons.append(Reason("not_started", f"{took} went by since it was due: {into}"))
    return WhyExecution(one.execution_id, one.job_id, one.job_version, one.state, tuple(reasons))


def _delayed(around: Around) -> Reason:
    one = around.execution
    if any(was.attempt == one.attempt and was.state == "snoozed" for was in around.attempts):
        return Reason("snoozed", f"its code answered in attempt {one.attempt} that it is too early: not before {said(one.eligible_at)}")
    if one.attempt:
        failed = f"attempt {one.attempt} ended with {one.error_type or 'an error'}: {one.error_message or '-'}"
        return Reason("retry", f"{failed}; the next is not before {said(one.eligible_at)}")
    return Reason("not_before", f"not before {said(one.run_at or one.eligible_at)}, as asked")


def _waiting(around: Around) -> list[Reason]:
    """All that stands in its way, the first to go first."""
    one = around.execution
    if one.waiting_reason == "exclusive":
        return [_in_line(around)]
    if one.blocked_by is not None:
        known = Known({} if around.blocker is None else {around.blocker.execution_id: around.blocker})
        text = f"it waits behind {blocker_said(one.blocked_by, known)}: by the overlap policy a former execution has to end first"
        return [Reason("overlap", text, one.blocked_by)]
    reasons = [Reason("lost", f"attempt {lost.attempt} lost its worker {lost.worker}") for lost in around.attempts if lost.state == "lost"]
    if not _ignores_pause(around):
        standing = [held for held in held_during(around.held, around.now, around.now) if held.until is None]
        reasons += [Reason("paused", f"paused by {pause_said(held)}") for held in standing]
    if any(reason.kind == "paused" for reason in reasons):
        return reasons
    if around.unserved is not None:
        reasons.append(Reason(around.unserved.kind, f"{_offered(around)}, and {around.unserved.text}: {around.unserved.remedy}"))
    reasons += [_limited(standing) for standing in around.limits]
    if not around.limits and around.unserved is None:
        reasons.append(_no_worker(around))
    return reasons


def _in_line(around: Around) -> Reason:
    one = around.execution
    holder = next((other for other in around.line if other.waiting_reason is None), None)
    before = [other.execution_id for other in around.line if other is not holder]
    place = before.index(one.execution_id) + 1 if one.execution_id in before else None
    where = "" if place is None else f"; it is number {place} in line"
    if holder is None:
        return Reason("lock", f"its exclusivity {one.exclusive_key} was held by {one.blocked_by}{where}", one.blocked_by)
    text = f"its exclusivity {one.exclusive_key} is held by {blocker_said(holder.execution_id, _known(holder))}{where}"
    return Reason("lock", text, holder.execution_id)


def _limited(standing: Standing) -> Reason:
    limit = standing.limit
    if standing.next_us:
        return Reason("limit", f"limit {limit}: the next may start in {long(standing.next_us)}")
    others = standing.held - len(standing.holders)
    held = ", ".join(standing.holders) + (f" and {others} more" if others > 0 else "")
    return Reason("limit", f"limit {limit}: held by {held}", standing.holders[0] if standing.holders else None)


def _offered(around: Around) -> str:
    return f"offered for {long(around.now - micros_of(around.execution.eligible_at or around.execution.requested_at))}"


def _no_worker(around: Around) -> Reason:
    one = around.execution
    offered = _offered(around)
    ask = f"does a worker serve it that has the code for version {one.job_version}?"
    if around.busy:
        return Reason("busy", f"{offered}; {around.busy} of queue {one.queue} run now, {around.started} started since it waits")
    if around.started:
        return Reason("offered", f"{offered}; {around.started} of queue {one.queue} started meanwhile, none runs now")
    return Reason("no_worker", f"{offered}, and nothing of queue {one.queue} has started or runs: {ask}")


def _running(around: Around) -> list[Reason]:
    one = around.execution
    said_so = f", {one.progress} % {one.progress_note or ''}".rstrip() if one.progress is not None else ""
    reasons = [Reason("running", f"attempt {one.attempt} runs at {one.worker} since {said(one.started_at)}{said_so}")]
    for past in around.events:
        if isinstance(past.event, CancelRequested):
            by = past.event.because_of or past.event.actor or past.event.reason
            reasons.append(Reason("cancel_requested", f"it was asked to stop at {said(past.at)} by {by} and has not yet"))
    return reasons


def _ended(around: Around) -> list[Reason]:
    one = around.execution
    at = said(one.finished_at)
    match one.state:
        case "completed":
            text = f"its handler returned at {at}, in attempt {one.attempt}, after {long((one.run_ms or 0) * 1000)}"
        case "failed" | "timed_out":
            why = NOT_MENDED.get(one.error_type or "", "its retries allow no other, or none after this error")
            text = f"attempt {one.attempt} was the last, at {at}, as {why}: {one.error_type or ''} {one.error_message or ''}".rstrip()
        case "lost":
            text = f"attempt {one.attempt} was the last, at {at}: its worker was not heard of, and it lost as many as it may"
        case "cancelled":
            text = _cancelled(around)
        case "missed":
            text = f"missed({one.reason}): it had not started by {said(one.deadline_at)}"
        case _:
            text = f"{one.state}({one.reason}) at {at}" + (f": {one.error_message}" if one.error_message else "")
    reasons = [Reason(one.reason or one.state, text)]
    former = [attempt for attempt in around.attempts if attempt.attempt < one.attempt]
    reasons += [Reason("attempt", f"attempt {was.attempt}: {was.state} at {said(was.finished_at)}{_error(was)}") for was in former]
    return reasons


def _error(attempt: Attempt) -> str:
    return f" with {attempt.error_type}: {attempt.error_message}" if attempt.error_type else ""


def _cancelled(around: Around) -> str:
    one = around.execution
    event = next((past.event for past in reversed(around.events) if isinstance(past.event, Cancelled)), None)
    by = None if event is None else event.because_of or event.actor
    why = ASKED.get(one.reason or "", "it was asked to" if one.reason == "asked" else "its handler said so")
    detail = f": {one.error_message}" if one.error_message else ""
    return f"cancelled({one.reason}) at {said(one.finished_at)}: {why}{f' ({by})' if by else ''}{detail}"


def _ignores_pause(around: Around) -> bool:
    return any(isinstance(past.event, Requested) and past.event.ignore_pause for past in around.events)


def _known(holder: Execution) -> Known:
    return Known({holder.execution_id: holder})
