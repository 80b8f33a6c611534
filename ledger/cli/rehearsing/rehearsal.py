"""The rehearsal itself: each schedule once, however many jobs have it; what would move, as rows."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ledger.cli.rehearsing.by_croniter import Unread, against_croniter
from ledger.cli.rehearsing.child import Question, digest_of
from ledger.cli.rehearsing.moved import Moved, compare, firings_of
from ledger.cli.rehearsing.stored import Rehearsed
from ledger.cli.rehearsing.zone_data import OtherSide, other_side, package_of
from ledger.core.policies import ENGINE, engine_versions
from ledger.core.schedule_spec import ScheduleSpec

LINE_EVERY: Final = 5.0  # seconds between two lines of progress

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """A schedule with firings that would move. `only_here`, `only_there`: how many of the next 1000 the present alone, or the other alone
    has; `note`: why they could not be compared."""

    job_id: str
    job_version: int | None
    compared_with: str
    only_here: int = 0
    only_there: int = 0
    first_here: datetime | None = None
    first_there: datetime | None = None
    note: str | None = None


def with_croniter(schedules: Sequence[Rehearsed], after: int, say: Say) -> Iterator[Finding]:
    """Schedules without an expression have nothing to compare."""
    known: dict[ScheduleSpec, Moved | str | None] = {}
    for one in _slowly([one for one in schedules if one.spec.cron is not None], say):
        if one.spec not in known:
            try:
                known[one.spec] = against_croniter(one.spec, after)
            except Unread as unread:
                known[one.spec] = str(unread)
        yield from _found(one, "croniter", known[one.spec])


def with_zone_data(schedules: Sequence[Rehearsed], after: int, wanted: str | None, say: Say) -> Iterator[Finding]:
    """With the zone data `wanted` (a release, or a file or folder of the package), else with those that accepted each schedule."""
    _, present = engine_versions()
    by_release: dict[str, list[Rehearsed]] = defaultdict(list)
    for one in schedules:
        if one.engine not in (None, ENGINE) and wanted is None:
            yield _unknown(one, f"it was accepted by the engine {one.engine}; this release has {ENGINE} alone, see its changelog")
        elif (release := wanted or one.tzdata) is not None and release != present and one.spec.timezone != "UTC":
            by_release[release].append(one)
    for release, some in by_release.items():
        with TemporaryDirectory(prefix="jobledger-tzdata-") as folder:
            say(f"comparing {len(some)} schedules under tzdata {present}, which is here, and {release}")
            with other_side(package_of(release, Path(folder))) as other:
                yield from _with_other(some, after, other, say)


def _with_other(schedules: Sequence[Rehearsed], after: int, other: OtherSide, say: Say) -> Iterator[Finding]:
    known: dict[ScheduleSpec, Moved | str | None] = {}
    for one in _slowly(schedules, say):
        if one.spec not in known:
            known[one.spec] = _moved(one.spec, after, other)
        yield from _found(one, f"tzdata {other.version}", known[one.spec])


def _moved(spec: ScheduleSpec, after: int, other: OtherSide) -> Moved | str | None:
    here = firings_of(spec, after)
    answered = other.ask(Question(spec, after))
    if answered.refused is not None:
        return f"the other side refuses it: {answered.refused}"
    if answered.digest == digest_of(here):
        return None
    return compare(here, other.ask(Question(spec, after, in_full=True)).firings)


def _found(one: Rehearsed, other: str, moved: Moved | str | None) -> Iterator[Finding]:
    match moved:
        case Moved(only_here, only_there, first_here, first_there):
            yield Finding(one.job_id, one.job_version, other, only_here, only_there, first_here, first_there)
        case str():
            yield Finding(one.job_id, one.job_version, other, note=moved)
        case None:
            pass


def _unknown(one: Rehearsed, note: str) -> Finding:
    return Finding(one.job_id, one.job_version, f"engine {one.engine}", note=note)


def _slowly(schedules: Sequence[Rehearsed], say: Say) -> Iterator[Rehearsed]:
    """With a word now and then on how far it is."""
    told = time.monotonic()
    for number, one in enumerate(schedules):
        if time.monotonic() - told >= LINE_EVERY:
            told = time.monotonic()
            say(f"{number} of {len(schedules)} schedules")
        yield one
