"""Ticks: what a schedule expects and what became of it. Each expected tick leaves exactly one outcome in the log.

A tick that fires is the `execution.requested` event that carries `tick_at`. Source: scheduling.md, section 6.
"""

from typing import Final, Literal, assert_never

from msgspec import Struct, structs

from ledger.core.ids import Address, ExecutionId, Micros

Overlap = Literal["skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"]
Coalesce = Literal["latest", "earliest", "all"]
SkipReason = Literal["overlap", "buffer_full", "paused", "by_hand", "busy"]
MissReason = Literal["catchup_window", "coalesced"]

ON_TIME: Final = 10_000_000  # a tick decided later than this after its time is late
PAUSED_SPAN: Final = 60_000_000  # ticks that a pause skips leave their outcomes in ranges of up to a minute


class Adopted(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="schedule.adopted.v1"):
    """The home partition took a version's schedule over from the registry. Its ticks count from `since`, exclusive."""

    job_id: str
    job_version: int
    since: Micros
    engine: int = 1
    tzdata: str | None = None
    next_tick_at: Micros | None = None  # the tick that is expected next; none: no more is. Readers' zone data may be others than ours
    fired: int = 0  # ticks of this version, when it was in force before


class Dropped(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="schedule.dropped.v1"):
    """The job has no schedule in force any more."""

    job_id: str


class Rezoned(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="schedule.rezoned.v1"):
    """The owner of this partition reckons with another engine or other zone data: the ticks after this follow them, of all schedules."""

    engine: int
    tzdata: str | None = None
    former_engine: int | None = None
    former_tzdata: str | None = None


class AutoPaused(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="schedule.auto_paused.v1"):
    """So many executions in a row failed that the job paused itself: its ticks are skipped, its executions held."""

    job_id: str
    failures: int
    note: str
    because_of: ExecutionId | None = None  # the last that failed
    registry: Address = Address(0, 0)  # a resume beyond this place of the registry lifts it


class AutoResumed(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="schedule.auto_resumed.v1"):
    """Somebody resumed the job in the registry: its ticks after `since` fire again, and the count of failures begins anew."""

    job_id: str
    since: Micros
    actor: str | None = None
    reason: str | None = None


class SkipOrdered(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="tick.skip_ordered.v1"):
    """Somebody wants this future tick left out. Its outcome follows at its time: `tick.skipped` with the reason `by_hand`."""

    job_id: str
    tick_at: Micros
    job_version: int
    command_id: str | None = None
    actor: str | None = None
    reason: str | None = None


class Skipped(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="tick.skipped.v1"):
    """Ticks that did not fire because something stood in their way: `count` of them, from `tick_at` to `last_tick_at`."""

    job_id: str
    job_name: str
    job_version: int
    tick_at: Micros
    last_tick_at: Micros
    count: int
    reason: SkipReason
    tenant: str | None = None
    because_of: str | None = None  # the execution that stood in the way
    next_tick_at: Micros | None = None  # said by the last of what is decided together


class Missed(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="tick.missed.v1"):
    """Ticks nobody was there for in time."""

    job_id: str
    job_name: str
    job_version: int
    tick_at: Micros
    last_tick_at: Micros
    count: int
    reason: MissReason
    tenant: str | None = None
    next_tick_at: Micros | None = None


Event = Skipped | Missed | Adopted | Dropped | SkipOrdered | AutoPaused | AutoResumed


class Stopped(Struct, frozen=True, gc=False):
    """The job paused itself then; a resume beyond this place of the registry lifts it."""

    since: Micros
    registry: Address
    note: str


class InForce(Struct, frozen=True, omit_defaults=True, gc=False):
    """State: the schedule a home partition fires; every tick up to `decided_until` has its outcome."""

    job_version: int
    decided_until: Micros
    fired: int = 0  # ticks of this version
    failures: int = 0  # executions in a row
    stopped: Stopped | None = None
    to_skip: tuple[Micros, ...] = ()  # by hand, in order
    since: Micros = Micros(0)  # when this version was taken over
    next_at: Micros | None = None  # the tick that is expected next, where the log says so; else it has to be reckoned


def evolve(event: Event, state: InForce | None, at: Micros) -> InForce | None:
    """The job's schedule state after an event of a commit of time `at`."""
    match event:
        case Adopted(_, job_version, since):
            if state is None:
                return InForce(job_version, since, event.fired, since=since, next_at=event.next_tick_at)
            return InForce(job_version, since, event.fired, state.failures, state.stopped, state.to_skip, since, event.next_tick_at)
        case Dropped():
            return None
        case Skipped(last_tick_at=last) | Missed(last_tick_at=last):
            return state and decided(state, last, event.next_tick_at)
        case SkipOrdered(tick_at=tick_at):
            return state and structs.replace(state, to_skip=tuple(sorted({*state.to_skip, tick_at})))
        case AutoPaused(note=note, registry=registry):
            return state and structs.replace(state, stopped=Stopped(at, registry, note))
        case AutoResumed():
            return state and structs.replace(state, stopped=None, failures=0)
        case _:
            assert_never(event)


def decided(state: InForce, last: Micros, next_at: Micros | None, fired: int = 0) -> InForce:
    """Every tick up to `last` has its outcome now; so many of them fired."""
    to_skip = tuple(one for one in state.to_skip if one > last) if state.to_skip else ()
    until = max(state.decided_until, last)
    return InForce(state.job_version, until, state.fired + fired, state.failures, state.stopped, to_skip, state.since, next_at)


def run_ended(state: InForce, *, well: bool) -> InForce:
    """An execution of the job ended, well or badly: whoever asked for it."""
    failures = 0 if well else state.failures + 1
    return state if failures == state.failures else structs.replace(state, failures=failures)
