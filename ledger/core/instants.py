"""Instants, in microseconds since 1970: their bounds, and what is reckoned with them."""

from typing import Final

from ledger.core.ids import Micros
from ledger.core.invalid import quoted
from ledger.core.refusal import Refused

MILLISECOND: Final = 1000  # in microseconds
LATEST: Final = Micros(32_503_680_000_000_000)  # the year 3000: Python's dates end with 9999, and bounded durations are added to instants


def check_instant(name: str, instant: int | None) -> None:
    if instant is not None and not 0 <= instant <= LATEST:
        raise Refused("invalid", f"{name} {quoted(instant)}: microseconds since 1970, before the year 3000")


def deadline_after(start: int, budget_ms: int) -> Micros:
    """One that the tables can hold: a version may have options of before they were bounded."""
    return Micros(min(max(start + budget_ms * MILLISECOND, 0), LATEST))
