"""An execution: one wish to run a version of a job, from its request to exactly one terminal outcome.

Read in this order: events, state, `evolve`, commands; `decide` is in `executing.py`. Everything here concerns one execution; what spans
several (repeats, routing, schedules, the backlog) is in `partition.py`. Source: architecture.md, sections 2, 5 and 6.
"""

from sys import intern
from typing import Final, Literal, assert_never

from msgspec import Raw, Struct, structs

from ledger.core.bodies import NOTHING
from ledger.core.ids import BEFORE_ALL, Address, ExecutionId, Micros, Token, WorkerId, token_of
from ledger.core.options import DEFAULT_PRIORITY, KeptOptions

Trigger = Literal["schedule", "run_now", "backfill", "submit", "retry"]
Kind = Literal["system", "scheduled", "on_demand"]
SkipReason = Literal["version_too_old", "no_worker_for_version", "busy", "replaced"]
CancelReason = Literal["cancel_other", "terminate_other", "asked", "by_handler"]

TERMINAL: Final = frozenset({"completed", "failed", "timed_out", "lost", "missed", "skipped", "cancelled"})  # states, by name
LONGEST_RETRY_MS: Final = 366 * 86_400_000
MOST_REPLACED: Final = 40  # executions, by a unique key and again by `keep_last`: one submit may do both, in at most 100 events


# Events: what happened. Their types are stored for ever; a changed shape gets a new number, an upcaster and a golden file.


class Requested(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.requested.v1"):
    """Somebody or a schedule wants a run. There is no `data` where the version's own data applies (ticks, run now)."""

    execution_id: ExecutionId
    job_id: str
    job_name: str
    job_version: int
    kind: Kind
    queue: str
    requested_at: Micros  # the broker's append time of the command; of a tick: the time of decision
    trigger: Trigger = "submit"
    command_id: str | None = None
    tenant: str | None = None
    exclusive_key: str | None = None
    idempotency_key: str | None = None
    priority: int = DEFAULT_PRIORITY
    data: Raw = NOTHING
    options: KeptOptions | None = None
    labels: dict[str, str] | None = None
    run_at: Micros | None = None
    start_deadline: Micros | None = None
    tick_at: Micros | None = None
    due_at: Micros | None = None
    retry_of: ExecutionId | None = None
    actor: str | None = None
    reason: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    blocked_by: ExecutionId | None = None  # it waits in line: this one, and any before it, has to end first; by overlap or exclusivity
    ignore_pause: bool = False
    backfill_id: str | None = None
    next_tick_at: Micros | None = None  # of a tick: the one its schedule expects next, for the tables
    unique_key: str | None = None


class Due(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.due.v1"):
    """Its time has come: a delayed or a buffered execution may run. The grant of its next attempt."""

    execution_id: ExecutionId


class Blocked(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.blocked.v1"):
    """Its time has come, and its exclusivity key is held: it waits in line. Or it had the key, had not begun, and gives way to a run that
    ignores its pause: it is the next in line then. `by` holds the key from this moment."""

    execution_id: ExecutionId
    by: ExecutionId


class Started(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.started.v1"):
    execution_id: ExecutionId
    attempt: int
    token: Token
    worker: WorkerId
    waited_ms: int = 0  # from eligible to started
    deadline_at: Micros | None = None
    after: ExecutionId | None = None  # relayed: its worker ended this one, and goes on without an offer and without asking


class Progressed(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.progressed.v1"):
    execution_id: ExecutionId
    attempt: int
    progress: int
    note: str | None = None


class Completed(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.completed.v1"):
    execution_id: ExecutionId
    attempt: int
    run_ms: int = 0
    result: Raw = NOTHING


class AttemptFailed(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.attempt_failed.v1"):
    """An attempt ended without success and another one follows at `retry_at`."""

    execution_id: ExecutionId
    attempt: int
    state: Literal["failed", "timed_out"]
    error_type: str
    error_message: str
    retry_at: Micros
    run_ms: int = 0


class Failed(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.failed.v1"):
    """The last attempt failed, or timed out: terminal."""

    execution_id: ExecutionId
    attempt: int
    state: Literal["failed", "timed_out"]
    error_type: str
    error_message: str
    run_ms: int = 0


class HandedBack(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.handed_back.v1"):
    """A worker that has to go gave a started attempt back; it is not counted and the execution waits again."""

    execution_id: ExecutionId
    attempt: int
    worker: WorkerId
    run_ms: int = 0


class Snoozed(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.snoozed.v1"):
    """Its code answered that it is too early: the attempt is not counted, and the execution is delayed until then."""

    execution_id: ExecutionId
    attempt: int
    until: Micros
    run_ms: int = 0


class AttemptLost(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.attempt_lost.v1"):
    """The worker was not heard of for a whole lease; the execution waits again, under a new token."""

    execution_id: ExecutionId
    attempt: int
    worker: WorkerId


class Lost(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.lost.v1"):
    """It lost its worker too often: terminal."""

    execution_id: ExecutionId
    attempt: int
    worker: WorkerId


class Missed(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.missed.v1"):
    """It could not start in time: terminal."""

    execution_id: ExecutionId
    reason: Literal["start_deadline"]


class Skipped(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.skipped.v1"):
    """Nobody may run it: terminal, and no failure."""

    execution_id: ExecutionId
    reason: SkipReason
    worker: WorkerId | None = None  # who said so
    detail: str | None = None
    attempt: int = 0  # the one that was under way, 0 if none was


class CancelRequested(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.cancel_requested.v1"):
    """Its code was asked to stop; it goes on until it does. `because_of`: the execution that takes its place."""

    execution_id: ExecutionId
    reason: CancelReason
    because_of: ExecutionId | None = None
    actor: str | None = None
    detail: str | None = None  # why, in the actor's words


class Cancelled(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.cancelled.v1"):
    """It stopped because it was asked to, or was fenced out: terminal. `attempt`: the one that was under way, 0 if none was."""

    execution_id: ExecutionId
    reason: CancelReason
    attempt: int = 0
    run_ms: int = 0
    because_of: ExecutionId | None = None
    actor: str | None = None
    detail: str | None = None


class ReportRefused(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="type", tag="execution.report_refused.v1"):
    """A worker spoke for an attempt that is not its own (any more)."""

    execution_id: ExecutionId
    token: Token
    worker: WorkerId
    reason: Literal["unknown_execution", "stale_token", "not_the_worker", "not_started"]


Event = (  # what comes most stands first: a question for the type of one goes through them in turn
    Requested
    | Started
    | Completed
    | Progressed
    | Due
    | AttemptFailed
    | Failed
    | HandedBack
    | Snoozed
    | AttemptLost
    | Lost
    | Missed
    | Skipped
    | CancelRequested
    | Cancelled
    | Blocked
    | ReportRefused
)


def state_at_end(event: Event) -> str:
    """The state, by name, in which an execution ends by this event."""
    match event:
        case Completed():
            return "completed"
        case Failed():
            return event.state
        case Lost():
            return "lost"
        case Missed():
            return "missed"
        case Skipped():
            return "skipped"
        case Cancelled():
            return "cancelled"
        case _:
            raise AssertionError(f"{type(event).__name__} ends nothing")


# State: one shape per situation. An execution that is not known has none (None).


class Waiting(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="is", tag="waiting"):
    """It may run as soon as a worker takes it, under this token."""

    request: Requested
    token: Token
    eligible_at: Micros
    attempt: int = 1  # the number that the next start gets
    lost: int = 0
    began: bool = False  # an attempt that is not counted (any more) started in time


class Delayed(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="is", tag="delayed"):
    request: Requested
    until: Micros
    attempt: int = 1
    lost: int = 0
    began: bool = False


class Buffered(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="is", tag="buffered"):
    """It waits in line until those before it have ended, of its exclusivity key or, by its overlap policy, of its job."""

    request: Requested
    attempt: int = 1
    lost: int = 0
    since: Address = BEFORE_ALL  # the event by which it queued, which makes the order of the line; what gave way stands first


class Active(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="is", tag="active"):
    """Started; `progress` is known once it reported some (the state is then called `processing`)."""

    request: Requested
    token: Token
    worker: WorkerId
    attempt: int
    lost: int = 0
    progress: int | None = None
    note: str | None = None
    cancel: CancelRequested | None = None  # it was asked to stop: however the attempt ends, none follows
    relayed: bool = False  # its worker learns of it from control


class Ended(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="is", tag="ended"):
    """Terminal. Kept for a while, so that a repeat is known as one."""

    token: Token | None = None
    worker: WorkerId | None = None


Live = Active | Waiting | Delayed | Buffered
State = Ended | Live


def begun(state: Waiting | Delayed) -> bool:
    """An attempt of it was started, whether it counts or not."""
    return state.attempt > 1 or state.began


def line_of(request: Requested) -> str:
    """Where it waits while others have to end first: behind its exclusivity key, else behind its job."""
    return request.exclusive_key or f"line:{request.job_id}"


def evolve(state: State | None, event: Event, epoch: int, address: Address, at: Micros) -> State | None:
    """The state after `event`, which stands at `address` in a commit of time `at`. Pure; accepts only what `decide` can have written."""
    match event:
        case Requested():
            if state is None and event.blocked_by is not None:
                return Buffered(event, since=address)
            if state is None:
                delayed = event.run_at is not None and event.run_at > at
                return Delayed(event, Micros(event.run_at or 0)) if delayed else Waiting(event, token_of(epoch, address), at)
        case Started():
            if isinstance(state, Waiting):
                worker = WorkerId(intern(event.worker))
                return Active(state.request, event.token, worker, state.attempt, state.lost, relayed=event.after is not None)
        case Completed() | Failed():
            if isinstance(state, Active):
                return Ended(state.token, state.worker)
        case Lost():
            if isinstance(state, Active):
                return Ended()  # without a token: whatever its worker still says is refused
        case Progressed():
            if isinstance(state, Active):
                return structs.replace(state, progress=event.progress, note=event.note)
        case AttemptFailed():
            if isinstance(state, Active):
                return Delayed(state.request, event.retry_at, state.attempt + 1, state.lost)
        case Snoozed():
            if isinstance(state, Active):
                return Delayed(state.request, event.until, state.attempt, state.lost, began=True)
        case Due():
            if isinstance(state, Delayed | Buffered):
                began = isinstance(state, Delayed) and state.began
                return Waiting(state.request, token_of(epoch, address), at, state.attempt, state.lost, began)
        case HandedBack():
            if isinstance(state, Active):
                return Waiting(state.request, token_of(epoch, address), at, state.attempt, state.lost, began=True)
        case AttemptLost():
            if isinstance(state, Active):
                return Waiting(state.request, token_of(epoch, address), at, state.attempt + 1, state.lost + 1)
        case Missed():
            if isinstance(state, Waiting | Delayed | Buffered):
                return Ended()
        case Skipped():
            if isinstance(state, Waiting | Active):
                return Ended(state.token, event.worker)
            if isinstance(state, Delayed | Buffered):
                return Ended()
        case CancelRequested():
            if isinstance(state, Active):
                return structs.replace(state, cancel=event)
        case Cancelled():
            if isinstance(state, Active) and (event.reason != "terminate_other" or state.request.exclusive_key is not None):
                return Ended(state.token, state.worker)
            if isinstance(state, Live):
                return Ended()  # as above
        case Blocked():
            if isinstance(state, Delayed):
                return Buffered(state.request, state.attempt, state.lost, address)
            if isinstance(state, Waiting):
                return Buffered(state.request, state.attempt, state.lost)
        case ReportRefused():
            return state
        case _:
            assert_never(event)
    raise AssertionError(f"{type(event).__name__} cannot follow {state!r}: the log was not written by `decide`")


# Commands: what somebody wants.


class Report(Struct, frozen=True, omit_defaults=True, gc=False, forbid_unknown_fields=True, tag_field="type", tag="execution.report.v1"):
    """A worker tells of an attempt: its start (always implied), and maybe progress or its end."""

    execution_id: ExecutionId
    token: Token
    worker: WorkerId
    ago_ms: int = 0  # how long before this report the attempt began
    timeout_ms: int | None = None
    progress: int | None = None
    note: str | None = None
    outcome: Literal["completed", "failed", "timed_out", "handed_back", "skipped", "cancelled", "snoozed"] | None = None
    run_ms: int = 0
    result: Raw = NOTHING
    error_type: str | None = None
    error_message: str | None = None
    retry_after_ms: int | None = None  # of a failure: absent means that no retry follows; of a snooze: how long it is
    answer: str | None = None
    takes_next: bool = False  # with its end: this worker would go on with the next in line of its key at once
    skip_reason: SkipReason | None = None  # of a skip, which is said instead of a start; `error_message` says more


class BecomeDue(Struct, frozen=True):
    """Control's timer: the delay of this execution is over."""

    execution_id: ExecutionId


class Expire(Struct, frozen=True):
    """Control's timer: the start deadline of this execution has passed."""

    execution_id: ExecutionId


class Lose(Struct, frozen=True):
    """Control's rescuer: the worker of this execution was not heard of for a whole lease."""

    execution_id: ExecutionId
    worker: WorkerId
    max_lost_attempts: int


class Cancel(Struct, frozen=True):
    """It is not wanted any more. What runs is asked to stop, or with `terminate_other` fenced out at once."""

    execution_id: ExecutionId
    reason: CancelReason
    because_of: ExecutionId | None = None
    actor: str | None = None
    detail: str | None = None


class Release(Struct, frozen=True):
    """What this buffered execution waited for has ended."""

    execution_id: ExecutionId


class GiveUp(Struct, frozen=True):
    """Control's judgement: for so many seconds no worker could run what was granted by this token."""

    execution_id: ExecutionId
    token: Token
    grace: float


Command = Report | BecomeDue | Expire | Lose | Cancel | Release | GiveUp
