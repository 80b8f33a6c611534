"""How many seconds of a range fire, without visiting them: the seconds of a day are the bits of one number."""

from collections.abc import Iterator
from itertools import pairwise

from ledger.core.cron import DAY, Cron
from ledger.core.exclusion import Exclusion
from ledger.core.zones import PLAIN, Rule, Zone

Lines = tuple[tuple[Cron, Rule], ...]


def count_seconds(lines: Lines, every: tuple[int, int] | None, exclusion: Exclusion | None, zone: Zone, after: int, until: int) -> int:
    """The firings in (after, until] of the expressions, or of `every` (period and offset, in whole seconds)."""
    days = _Days(lines, every, exclusion)
    count = 0
    for start, end, active in _pieces(lines, zone, after + 1, until + 1):
        if active is None:  # the end of a gap, one second
            fires = any(zone.next(cron, rule, start - 1, start) is not None for cron, rule in lines)
            count += fires and (exclusion is None or exclusion.excluded_until(start, zone) is None)
            continue
        _, offset = zone.span(start)
        low, high = start + offset, end + offset
        for day in range(low // DAY, (high - 1) // DAY + 1):
            first, beyond = max(low - day * DAY, 0), min(high - day * DAY, DAY)
            count += days.count(day, offset, active, first, beyond)
    return count


def _pieces(lines: Lines, zone: Zone, start: int, end: int) -> Iterator[tuple[int, int, tuple[int, ...] | None]]:
    """[start, end) cut wherever an expression or the offset changes; with the lines that fire there on the wall clock, or
    None for the one second at the end of a gap."""
    rules = {rule for _, rule in lines}
    gaps: set[int] = set()
    cuts = {start, end}
    running: dict[Rule, list[tuple[int, int]]] = {rule: [] for rule in rules}
    for rule in rules | {PLAIN}:
        for window in zone.windows(rule, start, end):
            if window.offset is None:
                gaps.add(window.last)
            elif rule in rules:
                running[rule].append((window.first, window.last))
            cuts |= {window.first, window.last + 1}
    edges = sorted(cut for cut in cuts | {gap + 1 for gap in gaps} if start <= cut <= end)
    at = dict.fromkeys(rules, 0)
    for low, high in pairwise(edges):
        for rule in rules:
            while at[rule] < len(running[rule]) and running[rule][at[rule]][1] < low:
                at[rule] += 1
        if low in gaps:
            yield low, high, None
            continue
        on = {rule for rule in rules if at[rule] < len(running[rule]) and running[rule][at[rule]][0] <= low}
        yield low, high, tuple(index for index, (_, rule) in enumerate(lines) if rule in on)


class _Days:
    """The bits of days, kept for one count: many days are alike."""

    def __init__(self, lines: Lines, every: tuple[int, int] | None, exclusion: Exclusion | None) -> None:
        self._crons = [cron for cron, _ in lines]
        self._every = every
        self._exclusion = exclusion
        self._bits: dict[Cron, int] = {}
        self._known: dict[tuple[object, ...], tuple[int, int]] = {}

    def count(self, day: int, offset: int, active: tuple[int, ...], first: int, beyond: int) -> int:
        bits, count = self._day(day, offset, active)
        if first == 0 and beyond == DAY:
            return count
        return (bits >> first & (1 << beyond - first) - 1).bit_count()

    def _day(self, day: int, offset: int, active: tuple[int, ...]) -> tuple[int, int]:
        matching = tuple(index for index in active if self._crons[index].matches_day(day))
        excluding: tuple[Cron, ...] = ()
        if self._exclusion is not None:
            if day in self._exclusion.days:
                return 0, 0
            excluding = tuple(cron for cron in self._exclusion.crons if cron.matches_day(day))
        phase = None if self._every is None else (self._every[1] - day * DAY + offset) % self._every[0]
        key = (matching, excluding, phase)
        if key not in self._known:
            if len(self._known) > 64:
                self._known.clear()
            bits = 0 if phase is None else self._multiples(phase)
            for index in matching:
                bits |= self._of(self._crons[index])
            for cron in excluding:
                bits &= ~self._of(cron)
            self._known[key] = bits, bits.bit_count()
        return self._known[key]

    def _of(self, cron: Cron) -> int:
        if cron not in self._bits:
            self._bits[cron] = cron.seconds_of_day()
        return self._bits[cron]

    def _multiples(self, phase: int) -> int:
        every = self._every[0] if self._every is not None else DAY
        times = -(-(DAY - phase) // every) if phase < DAY else 0
        return ((1 << times * every) - 1) // ((1 << every) - 1) << phase if times else 0
