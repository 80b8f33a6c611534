"""When a job fires: one object for validation, timers, previews and backfills. Source: scheduling.md, section 5.

Instants are nominal. Inside they are microseconds since 1970 in UTC; a cron expression fires on whole seconds.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from typing import Final, Self

from ledger.core.cron import Cron, Dst
from ledger.core.cron_text import parse_cron
from ledger.core.durations import format_duration
from ledger.core.exclusion import exclusion_of
from ledger.core.invalid import Invalid
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.schedule_text import MICROS, instant_of, refuse_impossible, spec_of
from ledger.core.schedule_warnings import warnings_of
from ledger.core.tally import count_seconds
from ledger.core.tzif import BEGINNING, END
from ledger.core.zones import Rule, rule_of, zone_of

SEARCHED: Final = 14_611 * 86_400 * MICROS  # 40 years, the longest wait of the calendar: February 29 on one weekday, over 2100
MOST_WORK: Final = 1_000_000  # of one search, seconds: 100 000 firings of one expression that five others exclude; then "never" is said
EACH_CANDIDATE: Final = 2  # what it costs besides, in the same unit
EACH_EXPRESSION: Final = 3
CLOCK_YEAR: Final = 400 * 86_400  # each change of the clock that comes every year is in it
OF_EACH: Final = 4  # firings of each expression of several: a rare one may be near to another where nobody looked
BESIDE: Final = 3  # intervals, from the shortest before it on: what is across a change or a firing, and what follows
REFERENCE: Final = 1_735_689_600 * MICROS  # 2025-01-01, from where a schedule without a start has to fire: the core has no clock
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = BEGINNING * MICROS
_LAST: Final = END * MICROS - 1


class Schedule:
    """A set of instants. Raises `Invalid` for what cannot be or never fires; `warnings` says what is probably not meant."""

    __slots__ = ("_cost", "_end", "_every", "_exclusion", "_lines", "_once", "_start", "_zone", "spec", "warnings")

    def __init__(
        self,
        *,
        cron: str | Sequence[str] | None = None,
        every: str | timedelta | None = None,
        at: str | datetime | None = None,
        offset: str | timedelta | None = None,
        timezone: str | None = None,
        dst: Dst = "vixie",
        start: str | date | None = None,
        end: str | date | None = None,
        exclude: Sequence[str | date] = (),
    ) -> None:
        self._compile(spec_of(cron, every, at, offset, "UTC" if timezone is None else timezone, dst, start, end, exclude))
        self._refuse_never_firing()
        self.warnings: tuple[str, ...] = warnings_of(self.spec, zone_given=timezone is not None)

    @classmethod
    def from_spec(cls, spec: ScheduleSpec) -> Self:
        """From a spec as it is stored: raises `Invalid` like any other, but does not search for a first firing and warns of nothing."""
        refuse_impossible(spec)
        schedule = cls.__new__(cls)
        schedule._compile(spec)
        schedule.warnings = ()
        return schedule

    def _compile(self, spec: ScheduleSpec) -> None:
        self.spec = spec
        self._zone = zone = zone_of(spec.timezone)
        texts = spec.cron or ()
        crons = [parse_cron(text, "cron" if len(texts) == 1 else f"cron[{index}]") for index, text in enumerate(texts)]
        self._lines: tuple[tuple[Cron, Rule], ...] = tuple((cron, rule_of(spec.dst, cron)) for cron in crons)
        self._every = None if spec.every_ms is None else (spec.every_ms * 1000, spec.offset_ms * 1000)
        self._once = None if spec.at is None else instant_of(spec.at, zone, "first")
        self._start = _FIRST if spec.start is None else instant_of(spec.start, zone, "first")
        self._end = _LAST if spec.end is None else min(instant_of(spec.end, zone, "last"), _LAST)
        self._exclusion = exclusion_of(spec.exclude)
        self._cost = EACH_CANDIDATE + EACH_EXPRESSION * len(crons) + (0 if self._exclusion is None else len(self._exclusion.crons))

    def next(self, after: datetime) -> datetime | None:
        """The first firing strictly after an aware instant, or None if there is none within 40 years (or ever)."""
        found = self.next_us(_micros("after", after))
        return None if found is None else _EPOCH + timedelta(microseconds=found)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The firings in (after, until], one by one."""
        for found in self.between_us(_micros("after", after), _micros("until", until)):
            yield _EPOCH + timedelta(microseconds=found)

    def next_us(self, after: int) -> int | None:
        """The first firing after this instant, both in microseconds since 1970."""
        after = max(after, self._start - 1, _FIRST - 1)
        return self._first(after, after + SEARCHED if self._lines else _LAST)

    def between_us(self, after: int, until: int) -> Iterator[int]:
        found = self._first(after, until)
        while found is not None:
            yield found
            found = self._first(found, until)

    def count_us(self, after: int, until: int) -> int:
        """How many firings there are in (after, until]; costs microseconds a day, however many they are, except where `every` is
        no whole number of seconds and something is excluded."""
        after, until = max(after, self._start - 1, _FIRST - 1), min(until, self._end)
        if after >= until:
            return 0
        if self._every is not None and self._exclusion is None:
            every, offset = self._every
            return (until - offset) // every - (after - offset) // every
        if self._once is not None or (self._every is not None and (self._every[0] % MICROS or self._every[1] % MICROS)):
            return sum(1 for _ in self.between_us(after, until))
        every_s = None if self._every is None else (self._every[0] // MICROS, self._every[1] // MICROS)
        return count_seconds(self._lines, every_s, self._exclusion, self._zone, after // MICROS, until // MICROS)

    def latest_us(self, after: int, until: int) -> int | None:
        """The last firing in (after, until]."""
        known = self._first(after, until)
        if known is None:
            return None
        high = min(until, self._end)
        while known < high:  # a firing is at `known`, none is in (high, until]
            middle = (known + high) // 2
            if (later := self._first(middle, high)) is not None:
                known = later
            else:
                high = middle
        return known

    def shortest_us(self, after: int, until: int, most: int) -> int | None:
        """The shortest of at most so many intervals in (after, until], of those where the clock changes within a year, and of those around
        the next firings of each expression: they differ from the others, and are not to be seen from every day. One search: of what it
        does not reach nothing is known."""
        after = max(after, self._start - 1, _FIRST - 1)
        lengths, work = self._lengths(after, until, most, MOST_WORK)
        shortest = min(lengths, default=None)
        if shortest is None:
            return None
        for second in chain(self._changes(after // MICROS), self._of_each(after // MICROS, until // MICROS)):
            beside, work = self._lengths(second * MICROS - shortest, until, BESIDE, work)
            shortest = min([shortest, *beside])
        return shortest

    def _changes(self, after: int) -> Iterator[int]:
        """Of the clock, within a year."""
        segments = self._zone.offsets.segments(after, min(after + CLOCK_YEAR, END))
        return (segment.start for segment in islice(segments, 1, None))

    def _of_each(self, after: int, until: int) -> Iterator[int]:
        """The next firings of each expression, where there are several."""
        for cron, rule in self._lines if len(self._lines) > 1 else ():
            found = self._zone.next(cron, rule, after, until)
            for _ in range(OF_EACH):
                if found is None:
                    break
                yield found
                found = self._zone.next(cron, rule, found, until)

    def _lengths(self, after: int, until: int, most: int, work: int) -> tuple[list[int], int]:
        """The lengths of at most so many intervals in (after, until], and what is left of the work."""
        lengths: list[int] = []
        found, work = self._search(after, until, work)
        while found is not None and len(lengths) < most:
            earlier = found
            found, work = self._search(earlier, until, work)
            if found is not None:
                lengths.append(found - earlier)
        return lengths, work

    def _first(self, after: int, until: int) -> int | None:
        """The first firing in (after, until]."""
        return self._search(after, until, MOST_WORK)[0]

    def _search(self, after: int, until: int, work: int) -> tuple[int | None, int]:
        """The first firing in (after, until], unless the work is done before; and what is left of it."""
        after, until = max(after, self._start - 1, _FIRST - 1), min(until, self._end)
        while work > 0:
            work -= self._cost
            found = self._candidate(after, until)
            if found is None or self._exclusion is None:
                return found, work
            excluded = self._exclusion.excluded_until(found // MICROS, self._zone)
            if excluded is None:
                return found, work
            after = excluded * MICROS + MICROS - 1
        return None, 0

    def _candidate(self, after: int, until: int) -> int | None:
        """The first firing in (after, until], were nothing excluded."""
        if after >= until:
            return None
        if self._every is not None:
            every, offset = self._every
            found = ((after - offset) // every + 1) * every + offset
            return found if found <= until else None
        if self._once is not None:
            return self._once if after < self._once <= until else None
        after_s, until_s = after // MICROS, until // MICROS
        first = None
        for cron, rule in self._lines:
            if (one := self._zone.next(cron, rule, after_s, until_s)) is not None:
                first, until_s = one, one - 1
        return None if first is None else first * MICROS

    def _refuse_never_firing(self) -> None:
        if self._start > self._end:
            raise Invalid("invalid_schedule", "start", self.spec.start, f"is after the end {self.spec.end!r}", "a start before the end")
        after = self._start - 1 if self.spec.start is not None else min(REFERENCE, self._end - SEARCHED)
        for index, (cron, rule) in enumerate(self._lines):
            if self._zone.next(cron, rule, after // MICROS, (after + SEARCHED) // MICROS) is None:
                where = "cron" if len(self._lines) == 1 else f"cron[{index}]"
                raise Invalid("invalid_schedule", where, cron.text, "never fires: no such second in 40 years", "'0 0 28 2 *'")
        if (self._first(after, after + SEARCHED) if self._once is None else self._first(_FIRST - 1, _LAST)) is None:
            raise self._never()

    def _never(self) -> Invalid:
        spec = self.spec
        written = spec.cron and (spec.cron[0] if len(spec.cron) == 1 else list(spec.cron))
        field, value = ("cron", written) if written else ("at", spec.at) if spec.at else ("every", format_duration(spec.every_ms or 0))
        within = " and ".join(f"{name} {bound!r}" for name, bound in (("start", spec.start), ("end", spec.end)) if bound)
        why = f"never fires: {'within ' + within if within else 'in 40 years'} there is no firing"
        kept = ", or none that `exclude` leaves" if spec.exclude else ""
        return Invalid("invalid_schedule", field, value, why + kept, "an `end` after the first firing, fewer exclusions")


def _micros(field: str, moment: datetime) -> int:
    if moment.tzinfo is None:
        raise Invalid("invalid_schedule", field, moment.isoformat(), "has no time zone", "datetime.now(UTC)")
    return (moment - _EPOCH) // timedelta(microseconds=1)
