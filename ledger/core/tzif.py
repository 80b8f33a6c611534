"""A zone's changes of UTC offset, read from the `tzdata` package and from nothing else.

`zoneinfo` prefers the zones of the operating system, unless its search path is reset for the whole process, and does not tell
where the changes are. RFC 8536: a list of changes, and a rule ("footer") for the years after the last one.
"""

import importlib.resources
import re
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Final

import tzdata

from ledger.core.invalid import Invalid

EPOCH: Final = date(1970, 1, 1)
BEGINNING: Final = -62_135_510_400  # 0001-01-02: the first and the last second, UTC, whose wall clock is a date everywhere
END: Final = 253_402_214_400  # 9999-12-31, exclusive
_NAME = r"(?:[A-Za-z]+|<[+\-A-Za-z0-9]+>)"
_OFFSET = r"([+-]?\d{1,3}(?::\d\d){0,2})"
_RULE = rf",M(\d+)\.(\d)\.(\d)(?:/{_OFFSET})?"
_FOOTER = re.compile(rf"{_NAME}{_OFFSET}(?:{_NAME}{_OFFSET}?{_RULE}{_RULE})?")


@dataclass(frozen=True, slots=True)
class Yearly:
    """One change of the footer: at `second` of the given wall clock, on the n-th (5: last) `weekday` of `month`."""

    month: int
    number: int
    weekday: int  # 0 is Sunday
    second: int
    before: int  # offsets in seconds east of UTC
    after: int

    def instant(self, year: int) -> int:
        if self.number == 5:
            last = date(year + self.month // 12, self.month % 12 + 1, 1) - timedelta(days=1)
            on = last - timedelta(days=(last.isoweekday() - self.weekday) % 7)
        else:
            first = date(year, self.month, 1)
            on = first + timedelta(days=(self.weekday - first.isoweekday()) % 7 + 7 * (self.number - 1))
        return (on - EPOCH).days * 86_400 + self.second - self.before


@dataclass(frozen=True, slots=True)
class Segment:
    """From `start` to `end` (exclusive; UTC seconds) the wall clock is `offset` seconds ahead of UTC."""

    start: int
    end: int
    offset: int


@dataclass(frozen=True, slots=True)
class Offsets:
    """`changes[i]` is the instant from which `offsets[i + 1]` holds; after the last of them the yearly rules go on, if any."""

    changes: Sequence[int]
    offsets: Sequence[int]
    yearly: tuple[Yearly, ...]

    def at(self, instant: int) -> int:
        if self.yearly and (not self.changes or instant >= self.changes[-1]):
            return next(segment.offset for segment in self.segments(instant, instant + 1))
        return self.offsets[bisect_right(self.changes, instant)]

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """Those that overlap [start, end), each as long as it really is but for the first and the last, which are cut."""
        since, index = start, bisect_right(self.changes, start)
        offset = self.offsets[index]
        for change, following in self._changes(index, start, end):
            if change > since and following != offset:
                yield Segment(since, change, offset)
                since = change
            offset = following
        yield Segment(since, end, offset)

    def _changes(self, index: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        stop = bisect_left(self.changes, end)
        yield from ((self.changes[i], self.offsets[i + 1]) for i in range(index, stop))
        if not self.yearly or stop < len(self.changes):
            return
        last = self.changes[-1] if self.changes else BEGINNING
        for year in range(max(_year(max(start, last)) - 1, 1), min(_year(end) + 1, 9998) + 1):
            for change, offset in sorted((rule.instant(year), rule.after) for rule in self.yearly):
                if last < change < end:
                    yield max(change, start), offset


def _year(instant: int) -> int:
    return (EPOCH + timedelta(days=min(max(instant, BEGINNING), END) // 86_400)).year


def zone_names() -> frozenset[str]:
    return frozenset((importlib.resources.files("tzdata") / "zones").read_text("ascii").split())


def tzdata_version() -> str:
    return str(tzdata.IANA_VERSION)


def load_offsets(name: str) -> Offsets:
    """Raises `Invalid` for what is no zone of the package."""
    names = zone_names()
    if name not in names:
        near = get_close_matches(name[:64], sorted(names), 1, 0.6)
        example = f"'{near[0]}'" if near else "'Europe/Berlin'"
        raise Invalid("invalid_schedule", "timezone", name, f"is not a zone of tzdata {tzdata_version()}", example)
    return parse((importlib.resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).read_bytes())


def parse(data: bytes) -> Offsets:
    """The second block of a TZif file (the first holds 32 bit numbers) and its footer."""
    _, _, second_block = _block(data, 0, 4)
    before_all, listed, footer = _block(data, second_block, 8)
    changes, offsets = array("q"), array("l", [before_all])
    for change, offset in listed:
        if change >= BEGINNING:
            changes.append(change)
            offsets.append(offset)
        else:
            offsets[0] = offset
    return Offsets(changes, offsets, _footer(data[footer:].decode("ascii").strip("\n")))


def _block(data: bytes, start: int, width: int) -> tuple[int, list[tuple[int, int]], int]:
    """The offset before all changes, each change with the offset after it, and where the block ends."""
    isut, isstd, leap, times, types, letters = struct.unpack(">6l", data[start + 20 : start + 44])
    at = start + 44
    changes = struct.unpack(f">{times}{'q' if width == 8 else 'l'}", data[at : at + times * width])
    kinds = data[at + times * width : at + times * (width + 1)]
    at += times * (width + 1)
    offsets = [int(offset) for offset, _, _ in struct.iter_unpack(">lbb", data[at : at + 6 * types])]
    end = at + 6 * types + letters + leap * (width + 4) + isstd + isut
    return offsets[0], [(change, offsets[kind]) for change, kind in zip(changes, kinds, strict=True)], end


def _footer(text: str) -> tuple[Yearly, ...]:
    found = _FOOTER.fullmatch(text)
    if found is None:
        raise ValueError(f"the rule {text!r} of the tzdata package has a form that is not known here")
    if found[3] is None:
        return ()
    standard = -_seconds(found[1])
    summer = -_seconds(found[2]) if found[2] else standard + 3600
    return (_yearly(found, 3, standard, summer), _yearly(found, 7, summer, standard))


def _yearly(found: re.Match[str], group: int, before: int, after: int) -> Yearly:
    month, number, weekday = (int(found[group + i]) for i in range(3))
    second = _seconds(found[group + 3]) if found[group + 3] else 7200
    return Yearly(month, number, weekday, second, before, after)


def _seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    return sign * sum(int(part) * unit for part, unit in zip(text.lstrip("+-").split(":"), (3600, 60, 1), strict=False))
