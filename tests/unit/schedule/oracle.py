"""What a schedule means, said a second time and as plainly as possible: every local second of a stretch is looked at, with
`zoneinfo` over the files of the `tzdata` package. Nothing of the engine is used. Slow, and meant to be."""

import importlib.resources
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1)
PAD = 30 * 3600  # longer than any change of a clock
MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *"}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NAMES = {name: str(number) for names, first in ((MONTHS, 1), (WEEKDAYS, 0)) for number, name in enumerate(names, first)}


@cache
def zone_info(name: str) -> ZoneInfo:
    with (importlib.resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def offset_at(zone: ZoneInfo, instant: int) -> int:
    offset = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant)).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def runs(zone: ZoneInfo, start: int, end: int, step: int = 60) -> list[tuple[int, int, int]]:
    """(first instant, first beyond, offset) of each stretch with one offset; looked at every `step` seconds, then by the second."""
    found: list[tuple[int, int, int]] = []
    since, offset, seen = start, offset_at(zone, start), start
    for sample in [*range(start + step, end, step), end - 1]:
        if offset_at(zone, sample) != offset:
            for second in range(seen + 1, sample + 1):
                if (now := offset_at(zone, second)) != offset:
                    found.append((since, second, offset))
                    since, offset = second, now
        seen = sample
    return [*found, (since, end, offset)]


@dataclass(frozen=True)
class Expression:
    text: str

    @property
    def fields(self) -> list[str]:
        fields = MACROS.get(self.text, self.text).split()
        return fields if len(fields) == 6 else ["0", *fields]

    def is_interval(self, dst: str) -> bool:
        seconds, minutes, hours = self.fields[:3]
        if dst == "vixie":
            return minutes[0] == "*" or hours[0] == "*"
        return any(sign in seconds + minutes + hours for sign in "*-/")

    def seconds_between(self, low: int, high: int) -> Iterator[int]:
        """The local seconds in [low, high)."""
        second, minute, hour = (
            [v for v in range(size) if any(item_holds(item, v, 0, size) for item in text.split(","))]
            for text, size in zip(self.fields[:3], (60, 60, 24), strict=True)
        )
        for day in range(low // 86_400, high // 86_400 + 1):
            if self.holds_on((EPOCH + timedelta(days=day)).date()):
                for h in hour:
                    for m in minute:
                        for s in second:
                            if low <= (local := day * 86_400 + h * 3600 + m * 60 + s) < high:
                                yield local

    def holds_on(self, on: date) -> bool:
        days, months, weekdays = self.fields[3:]
        if not any(item_holds(item, on.month, 1, 12) for item in months.split(",")):
            return False
        by_day = any(day_holds(item, on) for item in days.split(","))
        by_weekday = any(weekday_holds(item, on) for item in weekdays.split(","))
        if days in ("*", "?"):
            return by_weekday
        return by_day if weekdays in ("*", "?") else by_day or by_weekday


def item_holds(item: str, value: int, low: int, size: int) -> bool:
    text, _, step = item.partition("/")
    if text in ("*", "?"):
        return (value - low) % int(step or 1) == 0
    first, dash, last = text.partition("-")
    a, b = int(NAMES.get(first, first)), int(NAMES.get(last, last) if dash else -1)
    if not dash:
        b = low + size - 1 if step else a
    length = b - a if b >= a else b - a + size
    return any((a + at - low) % size + low == value for at in range(0, length + 1, int(step or 1)))


def day_holds(item: str, on: date) -> bool:
    if item == "L":
        return (on + timedelta(days=1)).month != on.month
    return item_holds(item, on.day, 1, 31)


def weekday_holds(item: str, on: date) -> bool:
    weekday = on.isoweekday() % 7
    if item[0] == "L":
        return weekday == int(NAMES.get(item[1:], item[1:])) % 7 and (on + timedelta(days=7)).month != on.month
    if "#" in item:
        name, number = item.split("#")
        return weekday == int(NAMES.get(name, name)) % 7 and (on.day + 6) // 7 == int(number)
    return item_holds(item, weekday, 0, 7)


class Stretch:
    """A stretch of time in a zone, in which the firings are (after, until]."""

    def __init__(self, zone: str, after: int, until: int, step: int = 60) -> None:
        self.after, self.until = after, until
        self.runs = runs(zone_info(zone), after - PAD, until + PAD, step)
        offsets = [offset for _, _, offset in self.runs]
        self._low, self._high = after + min(offsets), until + max(offsets) + 1
        self._locals: dict[str, list[int]] = {}

    def firings(self, texts: Sequence[str], dst: str, exclude: Sequence[str] = ()) -> list[int]:
        fired = {instant for text in texts for instant in self._of(text, dst)}
        return self.without([one for one in sorted(fired) if self.after < one <= self.until], exclude)

    def without(self, instants: Sequence[int], exclude: Sequence[str]) -> list[int]:
        left = []
        for instant in instants:
            local = instant + next(offset for start, end, offset in self.runs if start <= instant < end)
            if not any(self._excludes(entry, local) for entry in exclude):
                left.append(instant)
        return left

    def _seconds(self, text: str) -> list[int]:
        if text not in self._locals:
            self._locals[text] = list(Expression(text).seconds_between(self._low - 60, self._high))
        return self._locals[text]

    def _of(self, text: str, dst: str) -> Iterator[int]:
        interval = Expression(text).is_interval(dst)
        for local in self._seconds(text):
            instants = [local - offset for start, end, offset in self.runs if start <= local - offset < end]
            if not instants:
                if dst == "cronos" or (dst == "vixie" and not interval):
                    yield from self._ends_of_gaps(local)
            elif dst == "last":
                yield instants[-1]
            elif dst == "literal" or interval:
                yield from instants
            else:
                yield instants[0]

    def _ends_of_gaps(self, local: int) -> Iterator[int]:
        for (_, end, before), (_, _, then) in pairwise(self.runs):
            if end + before <= local < end + then:
                yield end

    def _excludes(self, entry: str, local: int) -> bool:
        if " " not in entry:
            return (EPOCH + timedelta(seconds=local)).date() == date.fromisoformat(entry)
        return self._holds(entry, local - local % 60 if len(entry.split()) == 5 else local)

    def _holds(self, text: str, local: int) -> bool:
        seconds = self._seconds(text)
        at = bisect_left(seconds, local)
        return seconds[at : at + 1] == [local]
