"""Acts on executions and dead letters, and the frame of a bulk act. Each leaves exactly one outcome, and its repeat nothing.

Source: scheduling.md, section 7; docs/decisions/0017.
"""

from typing import Final, assert_never

from msgspec import structs

from ledger.core import bulk, executing, execution, outcome, redriving, request
from ledger.core.consequences import followed
from ledger.core.definition import Job, Version
from ledger.core.exclusivity import admit
from ledger.core.execution import Ended, Live
from ledger.core.ids import ExecutionId, exclusive_key, execution_of_retry, partition_for, partition_of
from ledger.core.instants import check_instant, deadline_after
from ledger.core.invalid import quoted
from ledger.core.options import check_options, check_priority, kept, priority_of
from ledger.core.partition_view import PartitionView, tag_of
from ledger.core.refusal import Refused
from ledger.core.said import check_names, check_said
from ledger.core.ticking import key_of, request_of
from ledger.core.wire import Event

MOST_LABELS: Final = 32
MOST_PLANNED: Final = 100_000_000


def decide(view: PartitionView, command: request.Control) -> list[Event]:
    """Raises `Refused`."""
    check_said(command.actor, command.reason)
    match command:
        case request.Cancel() | request.Retry():
            home = partition_of(command.execution_id)
            if home is None or home >= view.partition.partitions:
                raise Refused("unknown_execution", f"{command.execution_id} is no execution of this log: `jobledger executions list`")
            if home != view.partition.number:
                return view.forward(command, command.command_id, home)
            _check_bulk(view, command.bulk_id)
            return _cancel(view, command) if isinstance(command, request.Cancel) else _retry(view, command)
        case request.Redrive() | request.Discard():
            source = redriving.home_of(view, command)
            if source.home != view.partition.number:
                return view.forward(command, command.command_id, source.home)
            if isinstance(command, request.Discard):
                return _accepted(view, command, redriving.discard(view, command))
            _check_bulk(view, command.bulk_id)
            return _accepted(view, command, redriving.redrive(view, command, source))
        case request.BeginBulk():
            if not 0 <= command.planned <= MOST_PLANNED:
                raise Refused("invalid", f"planned {quoted(command.planned)}: 0 to {MOST_PLANNED}")
            begun = bulk.Begun(command.bulk_id, command.kind, command.planned, command.filter, command.actor, command.reason)
            return _accepted(view, command, [] if view.bulk_goes_on(command.bulk_id) is not None else [begun])
        case request.FinishBulk():
            return _accepted(view, command, [bulk.Finished(command.bulk_id)] if view.bulk_goes_on(command.bulk_id) else [])
        case _:
            assert_never(command)


def _check_bulk(view: PartitionView, bulk_id: str | None) -> None:
    if bulk_id is not None and not view.bulk_goes_on(bulk_id):
        raise Refused("no_bulk", f"bulk act {bulk_id} is not begun here, or is finished")


def _accepted(
    view: PartitionView, command: request.Control, events: list[Event], job_id: str | None = None, execution_id: ExecutionId | None = None
) -> list[Event]:
    """The events, and the outcome that says whether there were any."""
    verdict = outcome.Accepted(
        command.command_id,
        tag_of(command),
        "applied" if events else "unchanged",
        job_id,
        None,
        command.actor,
        execution_id,
        command.bulk_id if isinstance(command, request.OneOfMany) else None,
    )
    view.answer_outcome(command, verdict)
    return [*events, verdict]


def _cancel(view: PartitionView, command: request.Cancel) -> list[Event]:
    """What waits ends at once, and whoever waited for it is next. What runs is asked to stop, once. What has ended stays as it is."""
    state = view.state_of(command.execution_id)
    if state is None:
        raise Refused(
            "unknown_execution",
            f"{command.execution_id} is not known to control: it ended a while ago, or never was; `jobledger executions show` tells",
        )
    wish = execution.Cancel(command.execution_id, "asked", None, command.actor, command.reason)
    events = followed(view, executing.decide(wish, state, view.at))
    return _accepted(view, command, list(events), state.request.job_id if isinstance(state, Live) else None, command.execution_id)


def _retry(view: PartitionView, command: request.Retry) -> list[Event]:
    """A new execution in the partition of the old one, whose exclusivity key it shares. An execution is retried once: whoever asks again is
    told of its retry, which may be retried in its turn."""
    job, _ = view.wanted(command)
    version = job.version(command.job_version)
    if version is None:
        raise Refused("unknown_version", f"{job.job_id} has no version {command.job_version}: `jobledger jobs versions {job.job_id}`")
    new = execution_of_retry(command.command_id, command.execution_id, view.partition.number)
    known = new if view.state_of(new) is not None else view.retry_of(command.execution_id)
    if known is not None:
        return _accepted(view, command, [], job.job_id, known)
    former = view.state_of(command.execution_id)
    if former is not None and not isinstance(former, Ended):
        raise Refused("still_running", f"{command.execution_id} has not ended: wait for it, or cancel it first")
    return _accepted(view, command, admit(view, _requested(view, command, job, version, new)), job.job_id, new)


def _requested(view: PartitionView, command: request.Retry, job: Job, version: Version, new: ExecutionId) -> execution.Requested:
    _check(command)
    again = request_of(job, version, new, view.at)
    options = kept(command.options)
    by_hand = job.kind == "on_demand"
    key = exclusive_key(job.job_id, job.job_name, command.tenant, job.exclusive_scope, command.exclusive_key) if by_hand else key_of(job)
    if key is not None and partition_for(key, view.partition.partitions) != view.partition.number:
        raise Refused("invalid", f"exclusivity key {key} is not that of {command.execution_id}, which lives in another partition")
    late = options.start_deadline_ms if options is not None else None
    return structs.replace(
        again,
        trigger="retry",
        retry_of=command.execution_id,
        command_id=command.command_id,
        tenant=command.tenant if by_hand else job.tenant,
        exclusive_key=key,
        priority=priority_of(command.priority, options),
        data=command.data,
        options=options,
        labels=command.labels,
        start_deadline=None if late is None else deadline_after(view.at, late),
        tick_at=command.tick_at,
        actor=command.actor,
        reason=command.reason,
        correlation_id=command.correlation_id,
    )


def _check(command: request.Retry) -> None:
    check_priority(command.priority)
    check_options(command.options)
    check_instant("tick_at", command.tick_at)
    labels = command.labels or {}
    if len(labels) > MOST_LABELS:
        raise Refused("invalid", f"{len(labels)} labels, at most {MOST_LABELS}")
    names = [("tenant", command.tenant), ("exclusive_key", command.exclusive_key), ("correlation_id", command.correlation_id)]
    check_names([*names, *((f"labels.{name}", f"{name}{text}") for name, text in labels.items())])
