"""What the read services give: rows of the tables as frozen objects. Instants are aware and in UTC, documents are parsed JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from ledger.core.causes import Cause
from ledger.core.execution import TERMINAL
from ledger.core.wire import Event

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """The event that wrote a row last."""

    partition: int
    seq: int
    index: int
    offset: int


@dataclass(frozen=True, slots=True)
class JobDefinition:
    job_id: str
    job_name: str
    kind: str
    queue: str
    tenant: str | None
    name: str | None
    exclusive_scope: str
    exclusive_key: str | None
    home_partition: int
    state: str
    current_version: int | None
    paused_note: str | None
    created_at: datetime
    updated_at: datetime
    address: Address


@dataclass(frozen=True, slots=True)
class JobVersion:
    job_id: str
    job_version: int
    content_hash: str
    data: object
    options: Mapping[str, object] | None
    schedule: Mapping[str, object] | None
    actor: str | None
    reason: str | None
    created_at: datetime
    address: Address


@dataclass(frozen=True, slots=True)
class Execution:
    """`data` is None where the version's own applies."""

    execution_id: str
    job_id: str
    job_name: str
    job_version: int
    kind: str
    queue: str
    tenant: str | None
    labels: Mapping[str, str] | None
    exclusive_key: str | None
    trigger: str
    state: str
    reason: str | None
    waiting_reason: str | None
    blocked_by: str | None
    priority: int
    attempt: int
    progress: int | None
    progress_note: str | None
    worker: str | None
    data: object
    result: object
    error_type: str | None
    error_message: str | None
    requested_at: datetime
    run_at: datetime | None
    eligible_at: datetime | None
    first_started_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    last_report_at: datetime | None
    wait_ms: int | None
    run_ms: int | None
    tick_at: datetime | None
    retry_of: str | None
    backfill_id: str | None
    command_id: str | None
    idempotency_key: str | None
    actor: str | None
    correlation_id: str | None
    trace_id: str | None
    requested_offset: int
    address: Address

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True)
class Attempt:
    execution_id: str
    attempt: int
    token: int
    worker: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    run_ms: int | None
    error_type: str | None
    error_message: str | None
    address: Address


@dataclass(frozen=True, slots=True)
class Running:
    """How many executions a worker performs, and of which queue (of several the first by name)."""

    queue: str
    running: int


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """`execution_id` is known of a submit that was accepted: its outcome is `accepted`."""

    command_id: str
    command_type: str | None
    outcome: str
    reason: str | None
    detail: str | None
    log: str
    job_id: str | None
    tenant: str | None
    actor: str | None
    decided_at: datetime
    address: Address
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What a queue, a tenant or an exclusivity key has to do. `waits_since`: since when the oldest of those that wait may run. `paused`: it
    is held, `since` then, by `actor`."""

    name: str
    waiting: int = 0
    delayed: int = 0
    active: int = 0
    waits_since: datetime | None = None
    paused: bool = False
    note: str | None = None
    actor: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many executions of a partition are in a state. `newest`: the latest request of them."""

    partition: int
    state: str
    count: int
    newest: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """An execution that a bulk act concerns, and where its request stands in the log."""

    execution_id: str
    partition: int
    requested_at: datetime
    requested_offset: int


@dataclass(frozen=True, slots=True)
class PositionRow:
    projection: str
    version: int
    log: str
    log_partition: int
    log_id: str
    log_seq: int
    log_offset: int
    digest: str
    voids: int
    stopped_note: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event of an execution or a job, as it stands in a log. `at`: the time of its commit in microseconds. `cause`: who and what it goes
    back to; the registry, where it is said without a place: what it said last of the job."""

    address: Address
    at: int
    event: Event
    cause: Cause | None = None
    log: str = "events"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next` is a cursor to go on with; None at the end."""

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions. `state`: it, or one of several; of none of them (`()`) there is no execution. `data`: a path
    (`order.items.0.id`) and what stands there, as JSON if it can be read as such, else as text. `from_` and `to` bound `requested_at`,
    the latter exclusively."""

    job: str | None = None
    job_name: str | None = None
    state: str | tuple[str, ...] | None = None
    tenant: str | None = None
    version: int | None = None
    worker: str | None = None
    backfill: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    from_: datetime | None = None
    to: datetime | None = None
