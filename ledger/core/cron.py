"""Cron expressions: the set of naive local seconds that a text means, as one bit mask a field. Source: scheduling.md, section 5.

A local second counts from 1970-01-01T00:00:00 on the wall clock, without any zone. What becomes of it where the clock
changes is `ledger.core.zones`; what a text may say is `ledger.core.cron_text`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

DAY: Final = 86_400
EPOCH_DAY: Final = 719_163  # date(1970, 1, 1).toordinal()
LAST_DAY: Final = date.max.toordinal()
MONTH_LENGTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKLY: Final = tuple(sum(1 << day for day in range(first, 32, 7)) for first in range(8))  # days of a month: first, first + 7 ...

Dst = Literal["vixie", "cronos", "literal", "last"]


@dataclass(frozen=True, slots=True)
class Cron:
    """One expression. A bit of a mask is a value of its field. Both day fields restricted: either one matches."""

    text: str  # normalised: single spaces, capitals, macros written out
    seconds: int
    minutes: int
    hours: int
    months: int
    month_days: int
    last_day: bool
    weekdays: int  # 0 is Sunday
    nth_weekdays: tuple[tuple[int, int], ...]  # (weekday, 1 to 5)
    last_weekdays: int
    any_month_day: bool
    any_weekday: bool
    interval_by_vixie: bool  # how the text is classed where the clock changes
    interval_by_cronos: bool

    def matches(self, local: int) -> bool:
        day, second = divmod(local, DAY)
        hour, rest = divmod(second, 3600)
        minute, second = divmod(rest, 60)
        return bool(self.seconds >> second & 1 and self.minutes >> minute & 1 and self.hours >> hour & 1) and self.matches_day(day)

    def matches_day(self, day: int) -> bool:
        """`day` counts from 1970-01-01."""
        on = date.fromordinal(day + EPOCH_DAY)
        return bool(self.months >> on.month & 1) and bool(self.days_of(on.year, on.month, (on.isoweekday() - on.day + 1) % 7) >> on.day & 1)

    def days_of(self, year: int, month: int, first_weekday: int) -> int:
        """The days of a month that match, as a mask with bits 1 to 31; the month field is not looked at."""
        length = month_length(year, month)
        every_day = (2 << length) - 2
        if self.any_month_day and self.any_weekday:
            return every_day
        mask = 0
        if not self.any_month_day:
            mask = self.month_days | (self.last_day << length)
        if not self.any_weekday:
            for weekday in range(7):
                if self.weekdays >> weekday & 1:
                    mask |= WEEKLY[(weekday - first_weekday) % 7 + 1]
            for weekday, number in self.nth_weekdays:
                mask |= 1 << (weekday - first_weekday) % 7 + 7 * number - 6
            for weekday in range(7) if self.last_weekdays else ():
                if self.last_weekdays >> weekday & 1:
                    mask |= 1 << length - (length - 1 + first_weekday - weekday) % 7
        return mask & every_day

    def next_local(self, local: int, end: int) -> int | None:
        """The first second of the set in [local, end)."""
        day, second = divmod(local, DAY)
        if (found := self._next_in_day(second)) < 0 or not self.matches_day(day):
            if (later := self._next_day(day + 1, end // DAY)) is None:
                return None
            day, found = later, self._first_in_day
        result = day * DAY + found
        return result if result < end else None

    @property
    def _first_in_day(self) -> int:
        return lowest(self.hours) * 3600 + lowest(self.minutes) * 60 + lowest(self.seconds)

    def _next_in_day(self, second: int) -> int:
        """The first second of the day not before `second` that matches, or -1."""
        hour, rest = divmod(second, 3600)
        if self.hours >> hour & 1:
            minute, rest = divmod(rest, 60)
            if self.minutes >> minute & 1 and (later := self.seconds >> rest):
                return second + lowest(later)
            if later := self.minutes >> minute + 1:
                return hour * 3600 + (minute + 1 + lowest(later)) * 60 + lowest(self.seconds)
        if later := self.hours >> hour + 1:
            return (hour + 1 + lowest(later)) * 3600 + lowest(self.minutes) * 60 + lowest(self.seconds)
        return -1

    def _next_day(self, day: int, last: int) -> int | None:
        """The first day that matches in [day, last]; goes by months, so a yearly expression costs a dozen steps a year."""
        if day > last or day + EPOCH_DAY > LAST_DAY:
            return None
        on = date.fromordinal(day + EPOCH_DAY)
        year, month, of_month = on.year, on.month, on.day
        first = day - of_month + 1  # the first of the month
        weekday = (on.isoweekday() - of_month + 1) % 7
        while first <= last and year <= 9999:
            if self.months >> month & 1 and (later := self.days_of(year, month, weekday) >> of_month):
                return first + of_month - 1 + lowest(later)
            length = month_length(year, month)
            first, weekday, of_month = first + length, (weekday + length) % 7, 1
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return None

    def seconds_of_day(self) -> int:
        """The matching seconds of a matching day, as a mask of 86 400 bits."""
        hour = sum(self.seconds << minute * 60 for minute in bits(self.minutes))
        return sum(hour << at * 3600 for at in bits(self.hours))

    @property
    def run(self) -> Literal["second", "minute", "hour", "day", "month", "ever"]:
        """The unit of the wall clock that matches as a whole as soon as one second in it does."""
        if self.seconds != (1 << 60) - 1:
            return "second"
        if self.minutes != (1 << 60) - 1:
            return "minute"
        if self.hours != (1 << 24) - 1:
            return "hour"
        if not (self.any_month_day and self.any_weekday):
            return "day"
        return "ever" if self.months == (2 << 12) - 2 else "month"


def month_length(year: int, month: int) -> int:
    return MONTH_LENGTHS[month] + (month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))


def lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def bits(mask: int) -> Iterator[int]:
    while mask:
        yield lowest(mask)
        mask &= mask - 1
