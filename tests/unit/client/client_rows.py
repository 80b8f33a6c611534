"""Rows as the read services give them."""

from dataclasses import replace
from datetime import UTC, datetime

from projections.rows import Address, Attempt, CommandOutcome, Execution, JobDefinition, JobVersion

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
HERE = Address(0, 1, 0, 0)

EXECUTION = Execution(
    execution_id="e1-0",
    job_id="greet",
    job_name="greet",
    job_version=1,
    kind="on_demand",
    queue="default",
    tenant=None,
    labels=None,
    exclusive_key=None,
    trigger="submit",
    state="waiting",
    reason=None,
    priority=5,
    attempt=1,
    progress=None,
    progress_note=None,
    worker=None,
    data={"name": "Ada"},
    result=None,
    error_type=None,
    error_message=None,
    requested_at=AT,
    run_at=None,
    eligible_at=AT,
    first_started_at=None,
    started_at=None,
    finished_at=None,
    deadline_at=None,
    last_report_at=None,
    wait_ms=None,
    run_ms=None,
    tick_at=None,
    retry_of=None,
    command_id="c1",
    idempotency_key=None,
    actor=None,
    correlation_id=None,
    trace_id=None,
    requested_offset=0,
    address=HERE,
)
DEFINITION = JobDefinition("greet", "greet", "on_demand", "default", None, "none", None, 0, "active", 1, AT, AT, HERE)
VERSION = JobVersion("greet", 1, "abc", None, {"attempts": 2}, None, "me", None, AT, HERE)
ATTEMPT = Attempt("e1-0", 1, 7, "w", "completed", AT, AT, 3, None, None, HERE)
OUTCOME = CommandOutcome("c1", "execution.submit.v1", "accepted", None, None, "events", "greet", None, None, AT, HERE, "e1-0")


def execution_row(state: str, *, result: object = None, reason: str | None = None, error: tuple[str, str] | None = None) -> Execution:
    error_type, error_message = error or (None, None)
    return replace(EXECUTION, state=state, result=result, reason=reason, error_type=error_type, error_message=error_message)
