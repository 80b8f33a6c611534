"""Two lists of firings of one schedule, compared."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from ledger.client.moments import datetime_of
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec

FIRINGS: Final = 1000


@dataclass(frozen=True, slots=True)
class Moved:
    """`only_here`: firings of the present that the other does not have; `only_there` the reverse. `first_...`: the earliest of them."""

    only_here: int
    only_there: int
    first_here: datetime | None
    first_there: datetime | None


def firings_of(spec: ScheduleSpec, after: int, count: int = FIRINGS) -> list[int]:
    """Its next firings by the engine and the zone data of this process."""
    schedule = Schedule.from_spec(spec)
    found: list[int] = []
    while len(found) < count and (following := schedule.next_us(after)) is not None:
        found.append(following)
        after = following
    return found


def compare(here: Sequence[int], there: Sequence[int], most_here: int = FIRINGS, most_there: int = FIRINGS) -> Moved | None:
    """None where nothing moves. Each list is sorted; one as long as it may be says nothing about what comes after its last."""
    ends = [firings[-1] for firings, most in ((here, most_here), (there, most_there)) if len(firings) >= most]
    until = min(ends, default=None)
    ours, theirs = (set(firings if until is None else firings[: bisect_right(firings, until)]) for firings in (here, there))
    only_here, only_there = sorted(ours - theirs), sorted(theirs - ours)
    if not only_here and not only_there:
        return None
    first_here, first_there = (next((datetime_of(one) for one in islice(some, 1)), None) for some in (only_here, only_there))
    return Moved(len(only_here), len(only_there), first_here, first_there)
