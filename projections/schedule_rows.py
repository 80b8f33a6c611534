"""Rows of schedules as the read services give them: ticks, jobs as control sees them, pauses, acts that go on in steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from projections.rows import Address


@dataclass(frozen=True, slots=True)
class Tick:
    """An expected tick and what became of it; of skipped and missed ones a row may stand for many in a row."""

    job_id: str
    job_name: str
    tenant: str | None
    job_version: int
    tick_at: datetime
    last_tick_at: datetime
    tick_count: int
    due_at: datetime | None
    decided_at: datetime
    lateness_ms: int | None
    outcome: str
    reason: str | None
    execution_id: str | None
    blocked_by: str | None
    address: Address


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A scheduled job as its home partition sees it."""

    job_id: str
    in_force_version: int | None
    next_tick_at: datetime | None
    last_tick_at: datetime | None
    last_state: str | None
    last_finished_at: datetime | None
    consecutive_failures: int
    auto_paused_note: str | None
    firings: int
    address: Address


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause in force. `name` of a key: as in `Execution.exclusive_key`."""

    scope: str
    name: str
    note: str | None
    actor: str | None
    since: datetime
    address: Address


@dataclass(frozen=True, slots=True)
class BulkAct:
    """How far an act is that goes on in steps; in each partition by itself."""

    bulk_id: str
    kind: str
    filter: Mapping[str, object] | None
    planned: int
    done: int
    refused: int
    actor: str | None
    reason: str | None
    outcome: str | None
    started_at: datetime
    finished_at: datetime | None
    address: Address


@dataclass(frozen=True, slots=True)
class TickFilter:
    """Which ticks. `from_` and `to` bound their nominal time, the latter exclusively; a range is among them if any tick of it may be."""

    job: str | None = None
    job_name: str | None = None
    tenant: str | None = None
    version: int | None = None
    outcome: str | tuple[str, ...] | None = None
    reason: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk act over all `partitions` that it concerns. `finished_at`: of the last of them; None while one goes on, or was left."""

    bulk_id: str
    kind: str
    filter: Mapping[str, object] | None
    planned: int
    done: int
    refused: int
    actor: str | None
    reason: str | None
    outcome: str | None
    started_at: datetime
    finished_at: datetime | None
    partitions: int


@dataclass(frozen=True, slots=True)
class BulkFilter:
    """`from_` and `to` bound the time an act began."""

    kind: str | None = None
    actor: str | None = None
    going_on: bool | None = None
    from_: datetime | None = None
    to: datetime | None = None
