"""Which version's schedule was in force when, from what the home partition and the registry say. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ledger.core import definition
from ledger.core.ids import Address
from ledger.core.tzif import tzdata_version

UNKNOWN: Final = "of another version"  # zone data before those that are known


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The home partition put a schedule in force (`job_version`), or none any more. `registry`: the place it knew."""

    at: int
    seq: int
    index: int
    since: int
    job_version: int | None
    registry: Address | None
    tzdata: str | None = None
    fired: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """The registry put a version of the job in force, or retired it (None)."""

    seq: int
    at: int
    job_version: int | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The ticks of this version in (since, until] were expected; without `until` it is in force still."""

    job_version: int
    since: int
    until: int | None = None
    tzdata: str | None = None
    fired: int = 0  # ticks of the version, when it was in force before

    def is_by_others(self, timezone: str) -> bool:
        """Other zone data than this program's decided its ticks, and may expect others."""
        return timezone != "UTC" and self.tzdata not in (None, tzdata_version())


class Decided(NamedTuple):
    """Ticks in a row that have their outcome, and the place of the event that says so."""

    job_version: int
    first: int
    last: int
    seq: int
    nth: int


class Rezoned(NamedTuple):
    """From this commit on the home partition reckons with other zone data."""

    seq: int
    tzdata: str | None


def moves_of(event: definition.Event, seq: int, at: int) -> Iterator[tuple[str, Moved]]:
    """The jobs that an event moves."""
    match event:
        case definition.Versioned(job_id, number, in_force=True):
            yield job_id, Moved(seq, at, number)
        case definition.Retired(job_id):
            yield job_id, Moved(seq, at, None)
        case definition.ManifestApplied(_, in_force, retired):
            for job_id, number in in_force:
                yield job_id, Moved(seq, at, number)
            for job_id in retired:
                yield job_id, Moved(seq, at, None)
        case _:
            pass


def stretches(first: Stretch | None, takeovers: Sequence[TakenOver], moves: Sequence[Moved], decided: Sequence[Decided]) -> list[Stretch]:
    """`first`: what was in force before the first of `takeovers`. All in the order of the log."""
    found: list[Stretch] = []
    current = first
    for one in takeovers:
        if current is not None:
            until = max(until_of(current, one, moves), _decided_until(current, one, decided))
            found.append(Stretch(current.job_version, current.since, until, current.tzdata, current.fired))
        current = None if one.job_version is None else Stretch(one.job_version, one.since, None, one.tzdata, one.fired)
    return found if current is None else [*found, current]


def by_zone_data(one: Stretch, rezoned: Sequence[Rezoned], decided: Sequence[Decided]) -> list[Stretch]:
    """Its parts, each decided by the same zone data; those before the first change are known where the stretch says so."""
    mine = [tick for tick in decided if tick.job_version == one.job_version and one.since < tick.first <= (one.until or tick.first)]
    found: list[Stretch] = []
    current = one if one.tzdata is not None or not rezoned else replace(one, tzdata=UNKNOWN)
    for change in rezoned:
        first = next((tick.first for tick in mine if tick.seq >= change.seq), None)
        if first is None:
            break
        if any(current.since < tick.first < first for tick in mine):
            found.append(replace(current, until=first - 1))
            current = replace(current, since=first - 1)
        current = replace(current, tzdata=change.tzdata)
    return [*found, current]


def until_of(former: Stretch, taken: TakenOver, moves: Sequence[Moved]) -> int:
    """How far the former schedule goes: to the acceptance of what follows it, or to a retirement before that (as control settles it)."""
    known = [one for one in moves if (one.seq <= taken.registry.seq if taken.registry is not None else one.at <= taken.at)]
    retired = [one.at for one in known if one.job_version is None and one.at > former.since]
    if retired:
        return min(retired[-1], taken.at)
    if taken.job_version is not None:
        return taken.since
    return min(known[-1].at, taken.at) if known else taken.at


def _decided_until(former: Stretch, taken: TakenOver, decided: Sequence[Decided]) -> int:
    """A tick that fired before the home partition heard of what follows belongs to the former schedule."""
    place = (taken.seq, taken.index)
    mine = (
        one.last for one in decided if one.job_version == former.job_version and (one.seq, one.nth) < place and one.first > former.since
    )
    return max(mine, default=former.since)
