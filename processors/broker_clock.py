"""The time of decisions: the broker's append time of the last ack plus this process's monotonic clock since.

Nodes' wall clocks do not matter; they only vouch for a jump, after a machine slept. Source: architecture.md, section 4 (Time).
"""

import os
import time
from collections.abc import Callable

import structlog

from ledger.core.ids import Micros

log = structlog.get_logger(__name__)
TOLERANCE = 5_000_000  # microseconds by which a broker time may differ from the anchor before somebody has to vouch for it
SKEW = "JOBLEDGER_TEST_WALL_SKEW"  # seconds added to the wall clock; set by tests alone


def wall_micros() -> int:
    return time.time_ns() // 1000 + int(float(os.environ.get(SKEW, "0")) * 1_000_000)


def monotonic_micros() -> int:
    return time.monotonic_ns() // 1000


class BrokerClock:
    """None until the first ack, and while the broker's time is in doubt: nothing fires or expires then."""

    def __init__(self, wall: Callable[[], int] = wall_micros, monotonic: Callable[[], int] = monotonic_micros) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor: tuple[int, int] | None = None  # (broker time, monotonic time)
        self.in_doubt: str | None = None  # why time stands still
        self._is_skewed = False

    def observe(self, append_ms: int) -> None:
        """A record was acknowledged now with this append time."""
        broker, here = append_ms * 1000, self._monotonic()
        expected, off = self._extrapolated(here), self._wall() - broker
        if expected is None or abs(broker - expected) <= TOLERANCE or abs(off) <= TOLERANCE:
            self._anchor, self.in_doubt = (broker, here), None
        else:
            ahead = (broker - expected) / 1e6
            why = f"the broker's time jumped by {ahead:+.1f} s and this node's clock does not agree: time stands still"
            if self.in_doubt is None:
                log.critical(why, action="clock.in_doubt", do="see which of the two clocks is wrong, and set it right")
            self.in_doubt = why
        self._compare(off)

    def _compare(self, off: int) -> None:
        """A wall clock that is wrong does no harm here, but it cannot vouch for anything either: say so, once."""
        was_skewed, self._is_skewed = self._is_skewed, abs(off) > TOLERANCE
        if self._is_skewed and not was_skewed:
            log.error("this node's clock differs from the broker's, which counts", action="clock.skewed", seconds=round(off / 1e6, 1))

    def now(self) -> Micros | None:
        """Microseconds since 1970, or None while there is no time to rely on."""
        return None if self.in_doubt else self._extrapolated(self._monotonic())

    def _extrapolated(self, here: int) -> Micros | None:
        return None if self._anchor is None else Micros(self._anchor[0] + here - self._anchor[1])
