"""A backfill: a job run for each tick of a range, in bounded portions. Source: scheduling.md, section 7; architecture.md, section 4.

Its executions are `execution.requested` events with `backfill_id` and `tick_at`; the outcomes of the ticks themselves stay as they are.
"""

from msgspec import Struct

from ledger.core.ids import Micros, instant
from ledger.core.refusal import Refused


def check_past(to_inclusive: int, now: int) -> None:
    """Raises `Refused`."""
    if to_inclusive > now:
        raise Refused("invalid", f"to {instant(to_inclusive)} is in the future: ticks that are to come fire by themselves")


# Events


class Begun(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="backfill.begun.v1"):
    """Accepted, for the ticks in (from, to] of this version, `planned` of them. What follows are steps."""

    backfill_id: str
    job_id: str
    job_version: int
    from_exclusive: Micros
    to_inclusive: Micros
    planned: int
    only_unfired: bool = False
    command_id: str | None = None
    tenant: str | None = None
    actor: str | None = None
    reason: str | None = None


class Advanced(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="backfill.advanced.v1"):
    """A step: every tick up to `cursor` was dealt with; `requested` and `left_out` count this step alone."""

    backfill_id: str
    job_id: str
    cursor: Micros
    requested: int = 0
    left_out: int = 0


class Finished(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="backfill.finished.v1"):
    """All is requested (`done`), or the job was retired meanwhile; `requested` and `left_out` count the whole."""

    backfill_id: str
    job_id: str
    requested: int = 0
    left_out: int = 0
    outcome: str = "done"


Event = Begun | Advanced | Finished


# State


class Running(Struct, frozen=True):
    """A backfill that has more to do."""

    begun: Begun
    cursor: Micros
    requested: int = 0
    left_out: int = 0


def evolve(event: Event, state: Running | None) -> Running | None:
    """The backfill after an event; None once it is finished."""
    match event:
        case Begun():
            return Running(event, event.from_exclusive)
        case Advanced(cursor=cursor, requested=requested, left_out=left_out):
            return state and Running(state.begun, cursor, state.requested + requested, state.left_out + left_out)
        case Finished():
            return None
