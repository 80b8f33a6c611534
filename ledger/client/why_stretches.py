"""Which version's schedule was in force when, from what the home partition and the registry say. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from projections.paging import micros_of
from projections.rows import Tick
from projections.schedule_past import Moved, TakenOver


@dataclass(frozen=True, slots=True)
class Stretch:
    """The ticks of this version in (since, until]; without `until` it is in force still."""

    job_version: int
    since: int
    until: int | None = None
    tzdata: str | None = None


def stretches(first: Stretch | None, takeovers: Sequence[TakenOver], moves: Sequence[Moved], ticks: Sequence[Tick]) -> list[Stretch]:
    """`first`: what was in force before the first of `takeovers`. `ticks`: the rows there are, in the order of time."""
    found: list[Stretch] = []
    current = first
    for one in takeovers:
        if current is not None:
            until = max(_until(current, one, moves), _decided(current, one, ticks))
            found.append(Stretch(current.job_version, current.since, until, current.tzdata))
        current = None if one.job_version is None else Stretch(one.job_version, one.since, None, one.tzdata)
    return found if current is None else [*found, current]


def _until(former: Stretch, taken: TakenOver, moves: Sequence[Moved]) -> int:
    """How far the former schedule goes: to the acceptance of what follows it, or to a retirement before that (as control settles it)."""
    known = [one for one in moves if (one.seq <= taken.registry.seq if taken.registry is not None else one.at <= taken.at)]
    retired = [one.at for one in known if one.job_version is None and one.at > former.since]
    if retired:
        return min(retired[-1], taken.at)
    if taken.job_version is not None:
        return taken.since
    return min(known[-1].at, taken.at) if known else taken.at


def _decided(former: Stretch, taken: TakenOver, ticks: Sequence[Tick]) -> int:
    """A tick that fired before the home partition heard of what follows belongs to the former schedule."""
    place = (taken.seq, taken.index)
    mine = (
        micros_of(one.last_tick_at)
        for one in ticks
        if one.job_version == former.job_version and (one.address.seq, one.address.index) < place and micros_of(one.tick_at) > former.since
    )
    return max(mine, default=former.since)
