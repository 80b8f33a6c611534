"""Long work on projections: how it is run, and what is said meanwhile."""

import gc
import time
from collections.abc import Coroutine
from typing import Final, TypeVar

import uvloop

T = TypeVar("T")
REPORT_EVERY: Final = 5.0  # seconds


class Meter:
    """Says a rate every few seconds."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._count = 0

    def rate(self, count: int) -> float | None:
        """Since it was said last; None if that is not long ago, or nothing happened."""
        passed = time.monotonic() - self._told
        if passed < REPORT_EVERY or count == self._count:
            return None
        rate = max(0, count - self._count) / passed
        self._told, self._count = time.monotonic(), count
        return rate


def time_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f", {minutes} min {rest} s left" if minutes else f", {rest} s left"


def folding(work: Coroutine[object, object, T]) -> T:
    """Folding makes millions of small objects that never form cycles: the collector need not look so often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return uvloop.run(work)
