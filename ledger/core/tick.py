"""Ticks: what a schedule expects and what became of it. Each expected tick leaves exactly one outcome in the log.

A tick that fires is the `execution.requested` event that carries `tick_at`. Source: scheduling.md, section 6.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from ledger.core.ids import Micros

ON_TIME: Final = 10_000_000  # a tick decided later than this after its time is late
CATCH_UP_WINDOW: Final = 3_600_000_000  # late ticks older than this are not made up


class Adopted(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="schedule.adopted.v1"):
    """The home partition took a version's schedule over from the registry. Its ticks count from `since`, exclusive."""

    job_id: str
    job_version: int
    since: Micros
    engine: int = 1
    tzdata: str | None = None


class Dropped(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="schedule.dropped.v1"):
    """The job has no schedule in force any more."""

    job_id: str


class Skipped(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="tick.skipped.v1"):
    """Ticks that did not fire because something stood in their way: `count` of them, from `tick_at` to `last_tick_at`."""

    job_id: str
    job_name: str
    job_version: int
    tick_at: Micros
    last_tick_at: Micros
    count: int
    reason: Literal["overlap", "paused", "busy"]
    tenant: str | None = None
    because_of: str | None = None


class Missed(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="tick.missed.v1"):
    """Ticks nobody was there for in time."""

    job_id: str
    job_name: str
    job_version: int
    tick_at: Micros
    last_tick_at: Micros
    count: int
    reason: Literal["catchup_window", "coalesced"]
    tenant: str | None = None


Event = Adopted | Dropped | Skipped | Missed


class InForce(Struct, frozen=True):
    """State: the schedule a home partition fires; every tick up to `decided_until` has its outcome."""

    job_version: int
    decided_until: Micros


def evolve(event: Event, state: InForce | None) -> InForce | None:
    """The job's schedule state after an event."""
    match event:
        case Adopted(_, job_version, since):
            return InForce(job_version, since)
        case Dropped():
            return None
        case Skipped(last_tick_at=last) | Missed(last_tick_at=last):
            return state and InForce(state.job_version, max(state.decided_until, last))


class Verdicts(Struct, frozen=True):
    """What becomes of the ticks that are due: ranges that are missed, and the ones to fire if nothing stands in their way."""

    missed: tuple[tuple[Literal["catchup_window", "coalesced"], Micros, Micros, int], ...]
    to_fire: tuple[Micros, ...]


class Range(Struct, frozen=True):
    """So many ticks in a row, the first and the last of them."""

    first: Micros
    last: Micros
    count: int


def horizon(now: Micros) -> Micros:
    """Ticks up to here are too old to be made up; they need not be looked at one by one."""
    return Micros(now - CATCH_UP_WINDOW - 1)


def judge(due: Sequence[Micros], now: Micros, old: Range | None = None) -> Verdicts:
    """Catch up by the defaults: `old` ticks are missed; of the late ones, an hour at most, the latest alone is made up."""
    late = [tick for tick in due if tick < now - ON_TIME]
    on_time = [tick for tick in due if tick >= now - ON_TIME]
    missed: list[tuple[Literal["catchup_window", "coalesced"], Micros, Micros, int]] = []
    if old is not None:
        missed.append(("catchup_window", old.first, old.last, old.count))
    if len(late) > 1:
        missed.append(("coalesced", late[0], late[-2], len(late) - 1))
    return Verdicts(tuple(missed), (*late[-1:], *on_time))
