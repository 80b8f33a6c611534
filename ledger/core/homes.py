"""Where the events of a log belong once it has more partitions, and what they are called there. Pure.

An execution's id ends with the number of its partition, so one that moves is called by another number; what stands before the dash stays.
Nothing is decided here that `decide` would not have decided: routing is that of the commands themselves (architecture.md, section 3).
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import structs

from ledger.core import backfill, bulk, execution, letters, outcome, tick
from ledger.core.definition import Registry, home_of
from ledger.core.execution import Requested
from ledger.core.ids import ACTING, ExecutionId, acting, exclusive_key, partition_for, partition_of
from ledger.core.uniqueness import routing_name
from ledger.core.wire import Event

SUBMIT: Final = "execution.submit.v1"
OF_A_LETTER: Final = frozenset({"letter.redrive.v1", "letter.discard.v1"})


class Homes:
    """`registry`: all that it says; scope and key of a job are fixed for its life. Remembers 100 bytes of each execution that moved."""

    def __init__(self, registry: Registry, partitions: int) -> None:
        self._registry = registry
        self._partitions = partitions
        self._moved: dict[int, int] = {}

    def expect(self, events: Iterable[Event], former: int) -> None:
        """The events of a commit, in the order of the log: what makes room for a new execution stands before its request and names it."""
        for event in events:
            if isinstance(event, Requested) and (home := self._route(event, former)) != former:
                self._moved[hash(event.execution_id)] = home

    def of(self, event: Event, former: int) -> int | None:
        """The partition of an event that stood in `former`, of a commit that is expected; None: every partition's, or none's."""
        match event:
            case outcome.Accepted() | outcome.Rejected():
                return self._of_outcome(event, former)
            case outcome.DeadLettered() | letters.Redriven() | letters.Discarded() | bulk.Begun() | bulk.Finished():
                return former
            case outcome.Opened() | outcome.Forwarded() | tick.Rezoned():
                return None
        if isinstance(event, execution.Event):
            return self.of_execution(event.execution_id, former)
        if isinstance(event, tick.Event | backfill.Event):
            return self._of_job(event.job_id, former)
        raise TypeError(f"{type(event).__name__} is an event of the registry")

    def of_execution(self, execution_id: str, former: int) -> int:
        return self._moved.get(hash(execution_id), former)

    def renamed(self, execution_id: ExecutionId, former: int) -> ExecutionId:
        """What it is called where it is now. Names that are no execution's stay."""
        home = self.of_execution(execution_id, former)
        if home == former or partition_of(execution_id) is None:
            return execution_id
        return ExecutionId(f"{execution_id.rpartition('-')[0]}-{home}")

    def _route(self, event: Requested, former: int) -> int:
        if event.exclusive_key is not None:
            return partition_for(event.exclusive_key, self._partitions)
        if event.kind != "on_demand" or event.trigger == "run_now":
            return partition_for(event.job_id, self._partitions)
        if event.unique_key is not None:
            return partition_for(routing_name(event.tenant, event.job_id, event.unique_key), self._partitions)
        if event.trigger == "retry":
            return former if event.retry_of is None else self.of_execution(event.retry_of, former)
        return former if event.command_id is None else partition_for(event.command_id, self._partitions)

    def _of_job(self, job_id: str, former: int) -> int:
        job = self._registry.jobs.get(job_id)
        return former if job is None else home_of(job, self._partitions)

    def _of_outcome(self, event: outcome.Accepted | outcome.Rejected, former: int) -> int:
        """Where a repeat of the command will be decided. Those of a bulk act stay with it: they are counted where it began."""
        if event.bulk_id is not None:
            return former
        if isinstance(event, outcome.Accepted) and event.execution_id is not None:
            return self.of_execution(event.execution_id, former)
        job = None if event.job_id is None else self._registry.jobs.get(event.job_id)
        if job is not None and event.command_type != SUBMIT:
            return home_of(job, self._partitions)
        if event.command_type != SUBMIT:
            return former
        key = None if job is None else exclusive_key(job.job_id, job.job_name, event.tenant, job.exclusive_scope, None)
        return partition_for(key or event.command_id, self._partitions)


def at_home(event: Event, homes: Homes, former: int) -> Event:
    """The event with the executions that it names called as they are now. Tokens are another matter."""

    def named(one: ExecutionId) -> ExecutionId:
        return homes.renamed(one, former)

    match event:
        case Requested():
            return structs.replace(
                event,
                execution_id=named(event.execution_id),
                retry_of=event.retry_of and named(event.retry_of),
                blocked_by=event.blocked_by and named(event.blocked_by),
                actor=_actor(event.actor, named),
                correlation_id=event.correlation_id and named(ExecutionId(event.correlation_id)),  # it may be the one that asked
            )
        case execution.Started() if event.after is not None:
            return structs.replace(event, execution_id=named(event.execution_id), after=named(event.after))
        case execution.Blocked():
            return structs.replace(event, execution_id=named(event.execution_id), by=named(event.by))
        case execution.CancelRequested() | execution.Cancelled():
            return structs.replace(event, execution_id=named(event.execution_id), because_of=event.because_of and named(event.because_of))
        case execution.Skipped(reason="busy" | "replaced", detail=str(detail)):
            other, space, rest = detail.partition(" ")  # the detail of these begins with who held the key, or came after it
            return structs.replace(event, execution_id=named(event.execution_id), detail=f"{named(ExecutionId(other))}{space}{rest}")
        case outcome.Accepted() if event.execution_id is not None:
            return structs.replace(event, execution_id=named(event.execution_id))
        case tick.Skipped() if event.because_of is not None:
            return structs.replace(event, because_of=named(ExecutionId(event.because_of)))
        case letters.Redriven() | letters.Discarded():
            return structs.replace(event, letter=f"former/{event.letter}")  # a letter of this log may come to stand at the same place
        case outcome.Accepted() | outcome.Rejected() if event.command_type in OF_A_LETTER:
            return structs.replace(event, command_id=f"former:{event.command_id}")  # which follows from that place
        case tick.AutoPaused() if event.because_of is not None:
            return structs.replace(event, because_of=named(event.because_of))
    return structs.replace(event, execution_id=named(event.execution_id)) if isinstance(event, execution.Event) else event


def _actor(actor: str | None, named: Callable[[ExecutionId], ExecutionId]) -> str | None:
    """An execution that asked for this one may have moved."""
    return acting(named(ExecutionId(actor.removeprefix(ACTING)))) if actor is not None and actor.startswith(ACTING) else actor
