"""Where the clock changes: which instants a naive local second means under a daylight saving policy. Source: scheduling.md, 5.

The time line of a zone is cut into windows. In a `Window` with an offset, each local second in [low, high) is the instant
`local - offset`; in one without, the local seconds vanish in a gap and all of them become its end, the instant `at`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from ledger.core.cron import Cron, Dst
from ledger.core.tzif import BEGINNING, END, Offsets, Segment, load_offsets

Twice = Literal["first", "both", "last"]
FAR: Final = 3 * 86_400  # no clock was ever set by as much, so changes further apart do not touch each other
ERA: Final = 30  # windows are made for 2 ** 30 seconds (34 years) at a time, when first needed

Ranges = list[tuple[int, int]]


class Rule(NamedTuple):
    """What becomes of a local second that the clock skips, and of one that it shows twice."""

    fires_after_gap: bool
    twice: Twice


PLAIN: Final = Rule(False, "both")  # its windows are the spans of one offset


def rule_of(dst: Dst, cron: Cron) -> Rule:
    match dst:
        case "vixie":
            return PLAIN if cron.interval_by_vixie else Rule(True, "first")
        case "cronos":
            return Rule(True, "both" if cron.interval_by_cronos else "first")
        case "literal":
            return PLAIN
        case "last":
            return Rule(False, "last")


class Window(NamedTuple):
    last: int  # the last instant in it; windows are in this order
    low: int
    high: int
    offset: int | None

    @property
    def first(self) -> int:
        return self.last if self.offset is None else self.low - self.offset


@dataclass(frozen=True, slots=True)
class Windows:
    lasts: list[int]
    windows: list[Window]


class Zone:
    """The windows of one zone, made when they are first needed and kept: at most 300 eras for each rule."""

    __slots__ = ("_eras", "offsets")

    def __init__(self, offsets: Offsets) -> None:
        self.offsets = offsets
        self._eras: dict[tuple[int, Rule], Windows] = {}

    def next(self, cron: Cron, rule: Rule, after: int, until: int) -> int | None:
        """The first firing in (after, until], both seconds."""
        after, until = max(after, BEGINNING - 1), min(until, END - 1)
        while after < until:
            era = after + 1 >> ERA
            windows = self._eras.get((era, rule)) or self._make(era, rule)
            for index in range(bisect_right(windows.lasts, after), len(windows.lasts)):
                last, low, high, offset = windows.windows[index]
                if offset is None:
                    if cron.next_local(low, high) is not None:
                        return last if last <= until else None
                    continue
                local = cron.next_local(max(low, after + 1 + offset), min(high, until + 1 + offset))
                if local is not None:
                    return local - offset
                if last >= until:
                    return None
            after = (era + 1 << ERA) - 1
        return None

    def span(self, instant: int) -> tuple[int, int]:
        """The last second with the same offset (or of the era), and the offset."""
        era = instant >> ERA
        windows = self._eras.get((era, PLAIN)) or self._make(era, PLAIN)
        window = windows.windows[bisect_left(windows.lasts, instant)]
        return window.last, window.low - window.first

    def windows(self, rule: Rule, start: int, end: int) -> Iterator[Window]:
        """All that overlap the instants [start, end)."""
        for era in range(start >> ERA, (end - 1 >> ERA) + 1):
            made = self._eras.get((era, rule)) or self._make(era, rule)
            yield from (window for window in made.windows if window.last >= start and window.first < end)

    def instant_of(self, local: int, twice: Literal["first", "last"]) -> int:
        """The instant of one naive local second; in a gap, the end of the gap."""
        segments = list(self.offsets.segments(local - FAR, local + FAR))
        meant = [local - one.offset for one in segments if one.start <= local - one.offset < one.end]
        if meant:
            return meant[0] if twice == "first" else meant[-1]
        return next(
            after.start for before, after in pairwise(segments) if after.start + before.offset <= local < after.start + after.offset
        )

    def _make(self, era: int, rule: Rule) -> Windows:
        start, end = max(era << ERA, BEGINNING), min(era + 1 << ERA, END)
        segments = list(self.offsets.segments(max(start - FAR, BEGINNING), min(end + FAR, END)))
        windows = [window for window in _windows(segments, rule) if (cut := _cut(window, start, end)) for window in (cut,)]
        made = self._eras[era, rule] = Windows([window.last for window in windows], windows)
        return made


@lru_cache(maxsize=1024)  # shared by the schedules of a process: what it holds is derived from the installed package alone
def zone_of(name: str) -> Zone:
    """Raises `Invalid` for what is no zone of the `tzdata` package."""
    return Zone(load_offsets(name))


def _windows(segments: list[Segment], rule: Rule) -> Iterator[Window]:
    for index, segment in enumerate(segments):
        others = list(_near(segments, index))
        if index and rule.fires_after_gap:
            before = segments[index - 1]
            for low, high in _without([(segment.start + before.offset, segment.start + segment.offset)], [*others, segment]):
                yield Window(segment.start, low, high, None)
        local = (segment.start + segment.offset, segment.end + segment.offset)
        hidden: list[Segment] = []
        if rule.twice == "first":
            hidden = [other for other in others if other.start < segment.start]
        elif rule.twice == "last":
            hidden = [other for other in others if other.start > segment.start]
        for low, high in _without([local], hidden):
            yield Window(high - 1 - segment.offset, low, high, segment.offset)


def _near(segments: list[Segment], index: int) -> Iterator[Segment]:
    """The other segments whose local seconds may be the same as those of this one."""
    segment = segments[index]
    for back in range(index - 1, -1, -1):
        if segments[back].end < segment.start - FAR:
            break
        yield segments[back]
    for other in segments[index + 1 :]:
        if other.start > segment.end + FAR:
            break
        yield other


def _without(ranges: Ranges, hidden: list[Segment]) -> Ranges:
    """What of the local ranges is left, in order, when the local seconds of `hidden` are taken away."""
    for other in hidden:
        start, end = other.start + other.offset, other.end + other.offset
        ranges = [part for low, high in ranges for part in ((low, min(high, start)), (max(low, end), high)) if part[0] < part[1]]
    return ranges


def _cut(window: Window, start: int, end: int) -> Window | None:
    """The part of a window between the two instants."""
    last, low, high, offset = window
    if offset is None:
        return window if start <= last < end else None
    low, high = max(low, start + offset), min(high, end + offset)
    return Window(high - 1 - offset, low, high, offset) if low < high else None
