"""The time of decisions: the broker's append time of the last ack plus this process's monotonic clock since.

Nodes' wall clocks do not matter; they only vouch for a jump, after a machine slept, or for the first time that a process hears of, after
a long while without any. Source: architecture.md, section 4 (Time).
"""

import os
import time
from collections.abc import Callable

import structlog

from ledger.core.ids import Micros

log = structlog.get_logger(__name__)
TOLERANCE = 5_000_000  # microseconds by which a broker time may differ from the anchor before somebody has to vouch for it
A_RESTART = 60_000_000 + TOLERANCE  # an owner commits once a minute: so soon after the last commit nobody has to vouch
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
        self._furthest = 0  # the latest of the commits' times
        self._is_behind = False

    def observe(self, append_ms: int, last: int = 0) -> None:
        """A record was acknowledged now with this append time. `last`: the time of the commit before it, with which the first time of a
        process has to agree; 0, as of an opening: there is none, and nothing yet that could fire or expire."""
        broker, here = append_ms * 1000, self._monotonic()
        expected, off = self._extrapolated(here), self._wall() - broker
        if _is_likely(broker, last, off) if expected is None else min(abs(off), abs(broker - expected)) <= TOLERANCE:
            self._anchor, self.in_doubt = (broker, here), None
        else:
            jump = broker - (last if expected is None else expected)
            how = "is {:+.1f} s from the last commit's" if expected is None else "jumped by {:+.1f} s"
            why = f"the broker's time {how.format(jump / 1e6)} and this node's clock does not agree: time stands still"
            if self.in_doubt is None:
                log.critical(why, action="clock.in_doubt", do="see which of the two clocks is wrong, and set it right")
            self.in_doubt = why
        self._compare(off)
        self._compare_with_the_log(broker, last)

    def _compare_with_the_log(self, broker: int, last: int) -> None:
        """The log's time never falls: a broker whose clock was ahead and was set right has to come up with it. Say so, once."""
        self._furthest = max(self._furthest, last)
        was_behind, self._is_behind = self._is_behind, self._furthest - broker > TOLERANCE
        if self._is_behind and not was_behind:
            log.critical(
                "the log is ahead of the broker's time: until that has come up, no tick and no timer fires",
                action="clock.behind_the_log",
                seconds=round((self._furthest - broker) / 1e6, 1),
                do="see whether the broker's clock is right now; if it is, wait",
            )

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


def _is_likely(broker: int, last: int, off: int) -> bool:
    """A first time, from which the wall clock is `off` by so much: it follows the last commit soon, or lies between that and the wall
    clock, or that agrees about as well (by an eighth of the time away), so that nothing expires much too early by it."""
    since = broker - last
    return last == 0 or abs(off) <= max(A_RESTART, since // 8) or -TOLERANCE <= since <= A_RESTART or (since > 0 and off > 0)
