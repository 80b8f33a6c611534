"""Rows as the read services give them."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Raw

from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId, Micros
from ledger.core.options import KeptOptions
from projections.rows import Address, Attempt, CommandOutcome, Execution, JobDefinition, JobVersion, Load
from projections.schedule_rows import Bulk, BulkAct, JobStatus, Pause

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
HERE = Address(0, 1, 0, 0)

Row = TypeVar("Row", Execution, JobDefinition, JobStatus)


def row_with(kind: type[Row], /, **said: object) -> Row:
    """A row that holds nothing but what is said."""
    return kind(**{**{field.name: None for field in fields(kind)}, "address": HERE, **said})  # type: ignore[arg-type]  # a row of a test


EXECUTION = row_with(
    Execution,
    execution_id="e1-0",
    job_id="greet",
    job_name="greet",
    job_version=1,
    kind="on_demand",
    queue="default",
    trigger="submit",
    state="waiting",
    priority=5,
    attempt=1,
    data={"name": "Ada"},
    requested_at=AT,
    eligible_at=AT,
    command_id="c1",
    requested_offset=0,
)
DEFINITION = row_with(
    JobDefinition,
    job_id="greet",
    job_name="greet",
    kind="on_demand",
    queue="default",
    exclusive_scope="none",
    home_partition=0,
    state="active",
    current_version=1,
    created_at=AT,
    updated_at=AT,
)
HOURLY = replace(DEFINITION, job_id="hourly", job_name="sync", kind="scheduled", tenant="acme", exclusive_scope="tenant", current_version=2)
VERSION = JobVersion("greet", 1, "abc", None, {"attempts": 2}, None, "me", None, AT, HERE)
HISTORY = (
    JobVersion("hourly", 2, "d", {"n": 2}, None, {"every_ms": 3_600_000, "coalesce": "all", "limit": 10}, "ada", "too often", AT, HERE),
    JobVersion("hourly", 1, "c", {"n": 1}, None, {"every_ms": 60_000}, "me", None, AT, HERE),
)
PAUSES = (Pause("queue", "default", "stock-taking", "ada", AT, HERE), Pause("tenant", "acme", None, "me", AT, HERE))
LOADS = {
    "queue": (Load("default", 3, 1, 2, AT, True, "stock-taking", "ada", AT), Load("former", 1)),
    "tenant": (Load("acme", paused=True, actor="me", since=AT), Load("zoo", active=1)),
}
STATUS = row_with(JobStatus, job_id="hourly", in_force_version=2, firings=8, consecutive_failures=0)
REQUESTED = Requested(
    ExecutionId("e1-0"),
    "greet",
    "greet",
    1,
    "on_demand",
    "default",
    Micros(7),
    command_id="c1",
    tenant="acme",
    exclusive_key="key:greet:7",
    idempotency_key="once",
    priority=2,
    data=Raw(b'{"name": "Ada"}'),
    options=KeptOptions(attempts=2),
    labels={"a": "b"},
    run_at=Micros(8),
    correlation_id="o-1",
    reason="the first time",
)
ATTEMPT = Attempt("e1-0", 1, 7, "w", "completed", AT, AT, 3, None, None, HERE)
OUTCOME = CommandOutcome("c1", "execution.submit.v1", "accepted", None, None, "events", "greet", None, None, AT, HERE, "e1-0")


def execution_row(state: str, *, result: object = None, reason: str | None = None, error: tuple[str, str] | None = None) -> Execution:
    error_type, error_message = error or (None, None)
    return replace(EXECUTION, state=state, result=result, reason=reason, error_type=error_type, error_message=error_message)


REDRIVEN = ["events/0/5/0", "events/1/6/0", "events/1/7/0", "events/2/8/0", "events/2/9/0"]
BULK_ACTS = (
    BulkAct("cancel-1", "cancel", {"job": "greet"}, 3, 3, 0, "ann", "wrong prices", "done", AT, AT, HERE),
    BulkAct("cancel-1", "cancel", {"job": "greet"}, 2, 0, 1, "ann", "wrong prices", None, AT, None, replace(HERE, partition=1)),
    BulkAct("redrive-1", "redrive", {"letters": REDRIVEN}, 1, 1, 0, "ann", "upgraded", "done", AT, AT, replace(HERE, partition=0)),
    BulkAct("redrive-1", "redrive", {"letters": REDRIVEN}, 2, 1, 0, "ann", "upgraded", None, AT, None, replace(HERE, partition=1)),
)
BULK = Bulk("cancel-1", "cancel", {"job": "greet"}, 5, 3, 1, "ann", "wrong prices", None, AT, None, 2)
