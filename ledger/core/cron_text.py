"""What a cron text may say, and why not: from five or six fields (the seconds first) to the masks of `Cron`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from ledger.core.cron import Cron
from ledger.core.invalid import Invalid, quoted

LONGEST_TEXT: Final = 1000
EXAMPLE: Final = "'0 30 2 * * *' (seconds first) or '30 2 * * *'"
MACROS: Final = {
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
    "@MONTHLY": "0 0 1 * *",
    "@WEEKLY": "0 0 * * 0",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@HOURLY": "0 * * * *",
}
MONTHS: Final = {"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6, "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12}
WEEKDAYS: Final = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
_RANGE = re.compile(r"(\*|[0-9A-Z]+)(?:-([0-9A-Z]+))?(?:/([0-9]+))?", re.ASCII)


@dataclass(frozen=True)
class Field:
    name: str
    low: int
    high: int
    example: str
    names: Mapping[str, int] = field(default_factory=dict)


SECONDS: Final = Field("seconds", 0, 59, "'0' or '*/10'")
MINUTES: Final = Field("minutes", 0, 59, "'30' or '*/15'")
HOURS: Final = Field("hours", 0, 23, "'2' or '8-18'")
MONTH_DAYS: Final = Field("day of month", 1, 31, "'15', '1-7' or 'L'")
MONTH: Final = Field("month", 1, 12, "'6' or 'JAN,JUL'", MONTHS)
WEEKDAY: Final = Field("day of week", 0, 6, "'MON-FRI', 'L5' or '5#2'", WEEKDAYS)

Refuse = Callable[[str, str], Invalid]  # (what stands there, why it cannot be)


@lru_cache(maxsize=4096)  # a parsed text never changes, and thousands of schedules share a few texts
def parse_cron(text: str, where: str = "cron", whole_minute: bool = False) -> Cron:
    """`whole_minute`: five fields mean every second of the minute, as in an `exclude`, not its first. Raises `Invalid`."""
    written = normalised(text, where)
    fields = MACROS.get(written, written).split(" ")
    if len(fields) == 5:
        fields.insert(0, "*" if whole_minute else "0")
    seconds, minutes, hours, month_days, months, weekdays = fields
    days, last_day = _month_days(where, written, month_days)
    plain, nth, last = _weekdays(where, written, weekdays)
    return Cron(
        text=written,
        seconds=_values(SECONDS, where, written, seconds),
        minutes=_values(MINUTES, where, written, minutes),
        hours=_values(HOURS, where, written, hours),
        months=_values(MONTH, where, written, months),
        month_days=days,
        last_day=last_day,
        weekdays=plain,
        nth_weekdays=nth,
        last_weekdays=last,
        any_month_day=month_days in ("*", "?"),
        any_weekday=weekdays in ("*", "?"),
        interval_by_vixie=minutes.startswith("*") or hours.startswith("*"),
        interval_by_cronos=any(sign in one for one in (seconds, minutes, hours) for sign in "*-/"),
    )


def normalised(text: object, where: str = "cron") -> str:
    """The text with single spaces and in capitals, once its shape is right. Raises `Invalid`."""

    def refuse(why: str, example: str = EXAMPLE) -> Invalid:
        return Invalid("invalid_schedule", where, text, why, example)

    if not isinstance(text, str):
        raise refuse(f"is of type {type(text).__name__}, not a text (in YAML, quote it)")
    if len(text) > LONGEST_TEXT:
        raise refuse(f"is longer than {LONGEST_TEXT} characters")
    if not text.isascii():
        raise refuse("has characters outside ASCII")
    if any(not one.isprintable() and one != "\t" for one in text):
        raise refuse("has a line break or another control character")
    written = " ".join(text.upper().split())
    if not written:
        raise refuse("is empty")
    if written.startswith("@"):
        if written not in MACROS:
            raise refuse(*_why_no_macro(written))
        return written
    count = written.count(" ") + 1
    if count == 7:
        raise refuse("has seven fields: there is none for a year; use `start` and `end`")
    if not 5 <= count <= 6:
        raise refuse(f"has {count} field{'s' if count > 1 else ''}, not 5 (minutes first) or 6 (seconds first)")
    return written


def _why_no_macro(written: str) -> tuple[str, str]:
    if written == "@REBOOT":
        return "cannot be: a start of a process is no point in time", "'@hourly', or submit at start-up"
    if written.startswith("@EVERY"):
        return "is not a cron macro: an interval is a schedule of its own", "every: '5m'"
    return f"is not one of {', '.join(MACROS).lower()}", "'@daily'"


def _refusal(of: Field, where: str, written: str) -> Refuse:
    def refuse(part: str, why: str) -> Invalid:
        return Invalid("invalid_schedule", f"{where}: {of.name}", part, f"{why} (in {quoted(written)})", of.example)

    return refuse


def _values(of: Field, where: str, written: str, text: str) -> int:
    """The mask of a field without day-only forms."""
    if text == "*":
        return (1 << of.high + 1) - (1 << of.low)
    if len(text) < 3 and text.isdigit() and of.low <= int(text) <= of.high:
        return 1 << int(text)
    refuse = _refusal(of, where, written)
    mask = 0
    for item in text.split(","):
        mask |= _range(of, item, refuse)
    return mask


def _month_days(where: str, written: str, text: str) -> tuple[int, bool]:
    if text == "?":
        text = "*"
    items = text.split(",")
    plain = [item for item in items if item != "L"]
    return _values(MONTH_DAYS, where, written, ",".join(plain)) if plain else 0, len(plain) < len(items)


def _weekdays(where: str, written: str, text: str) -> tuple[int, tuple[tuple[int, int], ...], int]:
    """(plain days, nth days, last days)."""
    refuse = _refusal(WEEKDAY, where, written)
    plain = last = 0
    nth: list[tuple[int, int]] = []
    for item in ("*" if text == "?" else text).split(","):
        if "#" in item:
            day, _, number = item.partition("#")
            if number not in ("1", "2", "3", "4", "5"):
                raise refuse(item, "needs a number from 1 to 5 after '#'")
            nth.append((_value(WEEKDAY, day, item, refuse) % 7, int(number)))
        elif len(item) > 1 and item[0] == "L" and item[1:].isalnum():
            last |= 1 << _value(WEEKDAY, item[1:], item, refuse) % 7
        else:
            plain |= _range(WEEKDAY, item, refuse)
    return plain, tuple(nth), last


def _range(of: Field, item: str, refuse: Refuse) -> int:
    """The mask of `*`, `a`, `a-b` (may wrap), `a/s` (to the maximum) or `*/s`; steps count from the start."""
    found = _RANGE.fullmatch(item)
    if found is None or (found[1] == "*" and found[2] is not None):
        raise refuse(item, _why_no_range(of, item))
    size = of.high - of.low + 1
    low = of.low if found[1] == "*" else _value(of, found[1], item, refuse)
    to_the_maximum = found[2] is None and (found[1] == "*" or found[3] is not None)
    high = of.high if to_the_maximum else low if found[2] is None else _value(of, found[2], item, refuse)
    if high < low:  # also Sunday as 7 at the start
        high += size
    step = 1 if found[3] is None else int(found[3][:9])
    if not 1 <= step <= size:
        raise refuse(item, "has a step of zero" if step == 0 else f"has a step beyond the {size} values of the field")
    mask = 0
    for value in range(low, high + 1, step):
        mask |= 1 << (value - of.low) % size + of.low
    return mask


def _value(of: Field, text: str, item: str, refuse: Refuse) -> int:
    if text in of.names:
        return of.names[text]
    if not text.isdigit():
        raise refuse(item, _why_no_range(of, item))
    value = int(text[:9])
    if not of.low <= value <= of.high + (of is WEEKDAY):
        raise refuse(item, f"is out of range {of.low}-{of.high + (of is WEEKDAY)}")
    return value


def _why_no_range(of: Field, item: str) -> str:
    if not item:
        return "is an empty item of a list"
    if "?" in item:
        return "can stand only alone, in a day field" if of in (MONTH_DAYS, WEEKDAY) else "can stand only in a day field; say '*'"
    if of is MONTH_DAYS and "W" in item:
        return "asks for the nearest working day, which is not supported; say '1-3' with a handler that checks, or a list of dates"
    if of is MONTH_DAYS and item.startswith("L-"):
        return "counts back from the last day, which is not supported; say 'L' or a day"
    if of is WEEKDAY and item == "L":
        return "needs a weekday; say 'L6' for the last Saturday of the month, '6' for every Saturday"
    if of is WEEKDAY and item.endswith("L") and (item[:-1].isdigit() or item[:-1] in WEEKDAYS):
        return f"is written the other way round here; say 'L{item[:-1]}'"
    if "L" in item and (of in (MONTH_DAYS, WEEKDAY)) and item not in of.names:
        return "has 'L' where it cannot stand"
    if item[0] in "HR" and (len(item) == 1 or not item[1].isalpha()):
        return "asks for a hashed or random value, which is not supported; say a value, and use `jitter` to spread the load"
    if re.search("[A-Z]{2}", item) and of.names:
        return f"is not one of {', '.join(of.names)}"
    return f"is not a value, a list, a range or a step of {of.low}-{of.high}"
