"""Commands that ask for executions, and the hand-back of offers that a worker has no room for.

Source: architecture.md, section 3; scheduling.md, sections 7 and 8.
"""

from typing import Literal

from msgspec import Raw, Struct

from ledger.core.bodies import NOTHING
from ledger.core.bulk import BulkKind
from ledger.core.ids import Address, ExecutionId, Micros, WorkerId
from ledger.core.options import Options
from ledger.core.tick import Overlap
from ledger.core.uniqueness import Unique


class Submit(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="execution.submit.v1"):
    """Run a job once. `command_id`: 1 to 128 of `A-Z a-z 0-9 . _ : ~ -`; a fresh UUIDv7 in hex where the sender has none of its own."""

    command_id: str
    job_id: str
    data: Raw = Raw(b"null")
    tenant: str | None = None
    exclusive_key: str | None = None
    idempotency_key: str | None = None
    priority: int | None = None  # 0, first, to 9; absent: as the options say, else 5
    delay_ms: int | None = None
    run_at: Micros | None = None
    options: Options | None = None
    labels: dict[str, str] | None = None
    actor: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    after: Address | None = None  # decide not before this place of the registry
    answer: str | None = None  # a Redis channel that is told the decision
    follow: bool = False  # ... and the execution's life as well
    unique: Unique | None = None


class RunNow(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="job.run_now.v1"):
    """Run a job with a schedule, or an on-demand one, now: with its own data or with `data`. Goes to the job's home partition.

    Without `overlap` it runs beside former executions of its job, unless its exclusivity makes it wait.
    """

    command_id: str
    job_id: str
    data: Raw = NOTHING
    actor: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    after: Address | None = None
    answer: str | None = None
    follow: bool = False
    overlap: Overlap | None = None
    ignore_pause: bool = False


class Backfill(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="job.backfill.v1"):
    """Run a job for each tick in (after, until] of its version in force. Goes to the job's home partition. The same `backfill_id` again
    does nothing; it has the characters of a command id."""

    command_id: str
    job_id: str
    backfill_id: str
    from_exclusive: Micros
    to_inclusive: Micros
    only_unfired: bool = False
    actor: str | None = None
    reason: str | None = None
    after: Address | None = None
    answer: str | None = None


class SkipTick(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="tick.skip.v1"):
    """Leave out one tick that is still to come. Goes to the job's home partition. An instant that is no tick is refused."""

    command_id: str
    job_id: str
    tick_at: Micros
    actor: str | None = None
    reason: str | None = None
    after: Address | None = None
    answer: str | None = None


class Cancel(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="execution.cancel.v1"):
    """An execution is not wanted any more. What waits ends at once, what runs is asked to stop. Goes to the execution's partition."""

    command_id: str
    execution_id: ExecutionId
    actor: str | None = None
    reason: str | None = None
    bulk_id: str | None = None
    answer: str | None = None


class Retry(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="execution.retry.v1"):
    """Run again what has ended: a new execution that names this one, with what was asked for then, which the sender has read in the log.
    Goes to the execution's partition. Without `data` its version's own applies, as it did then."""

    command_id: str
    execution_id: ExecutionId
    job_id: str
    job_version: int
    data: Raw = NOTHING
    tenant: str | None = None
    exclusive_key: str | None = None  # the value alone, as in a submit
    priority: int | None = None
    options: Options | None = None
    labels: dict[str, str] | None = None
    tick_at: Micros | None = None
    correlation_id: str | None = None
    actor: str | None = None
    reason: str | None = None
    bulk_id: str | None = None
    after: Address | None = None
    answer: str | None = None


class BeginBulk(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="bulk.begin.v1"):
    """Many acts of this kind follow here, which name this bulk act; so many are planned in this partition. `filter`: what was meant, as
    JSON. The same `bulk_id` again does nothing; it has the characters of a command id."""

    command_id: str
    bulk_id: str
    kind: BulkKind
    planned: int
    filter: Raw = NOTHING
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


class FinishBulk(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="bulk.finish.v1"):
    """No more acts of this bulk follow in this partition."""

    command_id: str
    bulk_id: str
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


class Return(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="offers.return.v1"):
    """A worker has no room for these offers of this partition, has to go, or got no lock. Nothing was started. Decides to nothing.

    `limit`: the one over all workers that is reached (`queue:mail`), if that is the reason; asking again makes sense after `wait_ms`."""

    worker: WorkerId
    queue: str
    execution_ids: tuple[ExecutionId, ...]
    reason: Literal["no_slot", "draining", "no_handler", "newer_version", "locked", "limited"]
    limit: str | None = None
    wait_ms: int = 0


class Redrive(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="letter.redrive.v1"):
    """Send once more what could not be read: these commands, its own bytes or what they were meant to be. Goes to the partition that the
    letter came from; of the registry, to the first."""

    command_id: str
    letter: str
    commands: Raw
    actor: str | None = None
    reason: str | None = None
    bulk_id: str | None = None
    answer: str | None = None


class Discard(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", tag="letter.discard.v1"):
    """Nobody wants a dead letter any more."""

    command_id: str
    letter: str
    actor: str | None = None
    reason: str | None = None
    answer: str | None = None


Act = Backfill | SkipTick  # of a home partition; each leaves `command.accepted` or `command.rejected`
OneOfMany = Cancel | Retry | Redrive  # what a bulk act is made of
Control = OneOfMany | BeginBulk | FinishBulk | Discard  # of one partition, which they name; each has one outcome as well
Command = Submit | RunNow | Act | Control | Return
