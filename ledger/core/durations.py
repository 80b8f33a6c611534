"""Durations as people write them (`90s`, `1h30m`, `PT15M`), as milliseconds and in one normal form."""

import re
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ledger.core.invalid import Invalid

LONGEST_MS: Final = 3_653 * 86_400_000  # ten years, whichever they are
LONGEST_TEXT: Final = 64
UNITS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PART = re.compile(rf"({_NUMBER})(ms|[wdhms])")
_PLAIN = re.compile(rf"(?:{_NUMBER}(?:ms|[wdhms]))+", re.ASCII)
_ISO = re.compile(
    rf"P(?=[0-9T])(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?", re.ASCII
)
_CALENDAR = re.compile(r"P.*[0-9](?:Y|M(?!.*T)).*|P[0-9.]+M.*")
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?")


def parse_duration_ms(value: str | int | float, *, field: str = "duration", zero: bool = True) -> int:
    """The milliseconds that `value` means. A number is milliseconds already; where a number must not be written, the caller
    refuses it first. Raises `Invalid` for anything else than a whole number of milliseconds from 0 (with `zero=False`: 1) to ten years."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _invalid(field, value, f"is of type {type(value).__name__}, not a duration")
    exact = _from_text(field, value) if isinstance(value, str) else _from_number(field, value)
    if exact < 0:
        raise _invalid(field, value, "is negative")
    if exact > LONGEST_MS:
        raise _invalid(field, value, "is longer than ten years (3653 days)")
    if exact != int(exact):
        raise _invalid(field, value, "is not a whole number of milliseconds")
    if exact == 0 and not zero:
        raise _invalid(field, value, "is zero, which is not allowed here")
    return int(exact)


def format_duration(ms: int) -> str:
    """The one way to write a duration: the largest unit that divides it, so `90s`, `1m30s` and `PT1M30S` are all `PT90S`."""
    if ms <= 0:
        if ms < 0:
            raise _invalid("duration", ms, "is negative")
        return "PT0S"
    for unit, letter in (("d", "D"), ("h", "H"), ("m", "M"), ("s", "S")):
        if ms % UNITS[unit] == 0:
            return f"P{'' if unit == 'd' else 'T'}{ms // UNITS[unit]}{letter}"
    return f"PT{ms // 1000}.{ms % 1000:03d}".rstrip("0") + "S"


def _from_number(field: str, value: int | float) -> Decimal:
    number = Decimal(value)
    if not number.is_finite():
        raise _invalid(field, value, "is not a finite number")
    return number


def _from_text(field: str, value: str) -> Decimal:
    text = value.strip(" ")
    if len(text) > LONGEST_TEXT:
        raise _invalid(field, value, f"is longer than {LONGEST_TEXT} characters")
    if not text.isascii():
        raise _invalid(field, value, "has characters outside ASCII")
    if (iso := _ISO.fullmatch(text)) is not None:
        return sum((Decimal(n) * UNITS[u] for n, u in zip(iso.groups(), "wdhms", strict=True) if n), Decimal(0))
    if _PLAIN.fullmatch(text) is None:
        raise _invalid(field, value, _why_not(text))
    parts = _PART.findall(text)
    sizes = [UNITS[unit] for _, unit in parts]
    if any(later >= earlier for earlier, later in pairwise(sizes)):
        raise _invalid(field, value, "names its units out of order or twice (w, d, h, m, s, ms, each at most once)")
    return sum((Decimal(n) * UNITS[unit] for n, unit in parts), Decimal(0))


def _why_not(text: str) -> str:
    if not text:
        return "is empty"
    if text.startswith(("-", "P-", "PT-")):
        return "is negative"
    if _CLOCK.fullmatch(text):
        return "looks like a time of day, not like a duration"
    if _CALENDAR.fullmatch(text):
        return "counts months or years, which have no fixed length"
    if re.fullmatch(rf"[0-9]*{_NUMBER}", text):
        return "has no unit (w, d, h, m, s, ms)"
    if text.upper().startswith("P"):
        return "is not an ISO 8601 duration (PnDTnHnMnS, in capitals)"
    if text != text.lower() and _PLAIN.fullmatch(text.lower()):
        return "has a unit in capitals; units are w, d, h, m, s, ms"
    return "is not a duration: numbers, each followed by its unit (w, d, h, m, s, ms), without spaces"


def _invalid(field: str, value: object, why: str) -> Invalid:
    return Invalid("invalid_duration", field, value, why, "'90s', '1h30m' or 'PT15M'")
