"""Which ticks of a job fired, as far as a partition remembers: for backfills that leave those out.

Kept as what did not fire, in ranges: of a job that is well there are few. Source: scheduling.md, section 7.
"""

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.core.ids import Micros
from ledger.core.tick import InForce

MOST_RANGES: Final = 1000  # of a job; the oldest are forgotten first, and with them what fired before
MOST_SPANS: Final = 100


class Was(NamedTuple):
    """A schedule that was in force: its ticks in (since, until] were decided."""

    since: Micros
    until: Micros
    job_version: int
    fired: int = 0  # of the version, also before


class Past:
    """Of one job."""

    __slots__ = ("known_since", "spans", "unfired")

    def __init__(self, spans: list[Was] | None = None, unfired: Iterable[int] = (), known_since: int = 0) -> None:
        self.spans = spans or []
        self.unfired = array("q", unfired)  # first, last, first, last ...
        self.known_since = Micros(known_since)

    def copy(self) -> "Past":
        return Past(list(self.spans), self.unfired, self.known_since)

    def add(self, first: int, last: int, before: int) -> None:
        """Ticks from `first` to `last` did not fire; the tick decided before them was `before`."""
        if self.unfired and self.unfired[-1] == before:
            self.unfired[-1] = last
            return
        self.unfired.extend((first, last))
        if len(self.unfired) > 2 * MOST_RANGES:
            self.known_since = max(self.known_since, Micros(self.unfired[1] + 1))
            del self.unfired[:2]

    def replaced(self, was: Was) -> None:
        """Another schedule is in force."""
        self.spans.append(was)
        if len(self.spans) > MOST_SPANS:
            self.known_since = max(self.known_since, Micros(self.spans.pop(0).until + 1))

    def did_not_fire(self, tick_at: int) -> bool:
        return any(self.unfired[nth] <= tick_at <= self.unfired[nth + 1] for nth in range(0, len(self.unfired), 2))


class History(dict[str, Past]):
    """Of the jobs at home in a partition of which there is more to tell than that each tick of one schedule fired."""

    def unfired(self, job_id: str, first: int, last: int, before: int) -> None:
        past = self.get(job_id)
        if past is None:
            past = self[job_id] = Past()
        past.add(first, last, before)

    def replaced(self, job_id: str, former: InForce) -> None:
        past = self.get(job_id)
        if past is None:
            past = self[job_id] = Past()
        past.replaced(Was(former.since, former.decided_until, former.job_version, former.fired))

    def decided_until(self, job_id: str) -> Micros:
        """The last instant that a former schedule of the job decided."""
        past = self.get(job_id)
        return past.spans[-1].until if past is not None and past.spans else Micros(0)

    def fired(self, job_id: str, job_version: int) -> int:
        """How many ticks of this version fired when it was in force before."""
        past = self.get(job_id)
        return next((was.fired for was in reversed(past.spans) if was.job_version == job_version), 0) if past is not None else 0

    def known_since(self, job_id: str) -> Micros:
        past = self.get(job_id)
        return Micros(0) if past is None else past.known_since

    def version_at(self, job_id: str, tick_at: int, state: InForce | None) -> int | None:
        """The version whose schedule decided this instant, if it was a tick of it; None if none did."""
        if state is not None and state.since < tick_at <= state.decided_until:
            return state.job_version
        past = self.get(job_id)
        return next((was.job_version for was in past.spans if was.since < tick_at <= was.until), None) if past is not None else None

    def did_not_fire(self, job_id: str, tick_at: int) -> bool:
        past = self.get(job_id)
        return past is not None and past.did_not_fire(tick_at)
