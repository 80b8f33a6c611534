"""What became of a command, where no other event says so; and how its sender is told.

Source: architecture.md, sections 3 (routing), 5.8 (answers), 5.10 (dead letters).
"""

from typing import Literal

from msgspec import Struct

from ledger.core.ids import Address, ExecutionId, Position


class Opened(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="log.opened.v1"):
    """The first event of a partition: which log this is. A recreated topic or another cluster's log is noticed by it."""

    log_id: str
    partitions: int
    epoch: int = 1


class Rejected(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="command.rejected.v1"):
    """A command that could be read and was refused; `reason` for programs, `detail` for people."""

    command_id: str
    command_type: str
    reason: str
    detail: str
    job_id: str | None = None
    tenant: str | None = None
    actor: str | None = None
    bulk_id: str | None = None


class Accepted(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="command.accepted.v1"):
    """An act, of the registry or of a home partition, was accepted; `outcome` says whether it changed anything."""

    command_id: str
    command_type: str
    outcome: Literal["applied", "unchanged", "stale"]
    job_id: str | None = None
    tenant: str | None = None
    actor: str | None = None
    execution_id: ExecutionId | None = None  # which it cancelled, or asked for
    bulk_id: str | None = None  # the bulk act it is a part of


class Forwarded(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="command.forwarded.v1"):
    """A command that came to the wrong partition was appended to the right one, under the same id. No outcome."""

    command_id: str
    command_type: str
    partition: int


class DeadLettered(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="command.dead_lettered.v1"):
    """Bytes at `position` of this partition's commands could not be read; they are kept in the topic `dead-letters`."""

    position: Position
    reason: str


Event = Opened | Rejected | Accepted | Forwarded | DeadLettered


class Answer(Struct, frozen=True, omit_defaults=True):
    """Told to who waits, after the append; best effort. An execution's news carry `state`, a command's decision `outcome`."""

    command_id: str | None = None
    outcome: Literal["accepted", "repeated", "rejected", "forwarded", "applied", "unchanged", "stale"] | None = None
    execution_id: ExecutionId | None = None
    reason: str | None = None
    detail: str | None = None
    log: str | None = None
    partition: int | None = None
    address: Address | None = None
    state: str | None = None
    attempt: int | None = None
    progress: int | None = None
    note: str | None = None
    job_id: str | None = None  # of an act: a job's id may be derived
