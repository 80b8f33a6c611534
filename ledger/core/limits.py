"""Limits over all workers, of a queue, a job or a tenant: how many attempts run at once, and how many start in a time.

Attempts start evenly spaced; what was not used is saved up for a tenth of a second and no longer (a bucket of that size), so that a
worker that wakes a little late makes up for it. In any period at most `starts` and a tenth of a second's worth begin.
"""

import re
from typing import Final, Literal, NamedTuple

from ledger.core.durations import format_duration, parse_duration_ms
from ledger.core.invalid import Invalid

LimitScope = Literal["queue", "job", "tenant"]
MOST_STARTS: Final = 1_000_000
LONGEST_PERIOD_MS: Final = 86_400_000
SAVED_UP_US: Final = 100_000
_RATE: Final = re.compile(r"([0-9]{1,9})/([0-9a-zA-Z.]+)", re.ASCII)


class Rate(NamedTuple):
    """So many `starts` in `period_ms`."""

    starts: int
    period_ms: int

    @property
    def interval_us(self) -> int:
        """Between two starts."""
        return max(1, round(self.period_ms * 1000 / self.starts))

    @property
    def saved_us(self) -> int:
        """How far starts may run ahead of their even spacing."""
        return (max(1, SAVED_UP_US // self.interval_us) - 1) * self.interval_us

    def __str__(self) -> str:
        return f"{self.starts} in {format_duration(self.period_ms).removeprefix('P').removeprefix('T').lower()}"


class Limit(NamedTuple):
    """What bounds the attempts of a queue, a job or a tenant together. At least one of both is there."""

    scope: LimitScope
    name: str
    concurrency: int | None = None
    rate: Rate | None = None

    @property
    def key(self) -> str:
        """It by name; a program that reads it takes what stands before the first colon for the scope."""
        return f"{self.scope}:{self.name}"

    def __str__(self) -> str:
        bounds = [f"{self.concurrency} at once"] if self.concurrency is not None else []
        bounds += [str(self.rate)] if self.rate is not None else []
        return f"{self.scope} {self.name}: {', '.join(bounds)}"


def parse_rate(value: str) -> Rate:
    """`100/s`, `10/m`, `50/10s`. Raises `Invalid`."""
    found = _RATE.fullmatch(value.strip(" "))
    if found is None:
        raise _invalid(value, "is no rate: a number, a slash, and a time")
    starts, period = int(found[1]), found[2]
    period_ms = parse_duration_ms(period if period[0].isdigit() or period[0] == "P" else f"1{period}", field="rate", zero=False)
    if not 1 <= starts <= MOST_STARTS:
        raise _invalid(value, f"is not from 1 to {MOST_STARTS} starts")
    if period_ms > LONGEST_PERIOD_MS:
        raise _invalid(value, "is for longer than a day")
    return Rate(starts, period_ms)


def _invalid(value: object, why: str) -> Invalid:
    return Invalid("invalid_rate", "rate", value, why, "'100/s', '10/m' or '50/10s'")
