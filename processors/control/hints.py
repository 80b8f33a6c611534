"""Hints: on a quiet partition offers are told by Redis as well, before Kafka brings them. Best effort; the claim decides between both ways.

What goes into Kafka beside it would compete for the same two milliseconds with those who have to start the execution: it follows a
little later, and only if nobody has started it by then. Source: docs/decisions/0027. No I/O here.
"""

from collections.abc import Callable
from typing import Final

from ledger.core.ids import Micros
from ledger.core.offers import Hint, Offers

AFTER_HINT: Final = 0.004  # seconds until Kafka gets what was hinted at
_FEW: Final = 4  # offers of a queue, made and not started: so few are hinted at as well
_QUIET_FOR: Final = 0.02  # seconds without an offer before them: where there is load a hint only costs
_LARGEST: Final = 16 * 1024  # bytes


class Hints:
    """Of one partition. `channel`: where the workers of a queue listen."""

    def __init__(self, channel: Callable[[str], str]) -> None:
        self._channel = channel
        self._offered_at = 0.0
        self._untold: list[tuple[str, Hint]] = []

    def __bool__(self) -> bool:
        return bool(self._untold)

    def consider(self, queue: str, made: Offers, *, size: int, outstanding: int, at: Micros, now: float) -> bool:
        """Whether these offers, of so many bytes, are hinted at: it was quiet before, and few are outstanding."""
        was_quiet, self._offered_at = now - self._offered_at >= _QUIET_FOR, now
        if not was_quiet or outstanding > _FEW or size > _LARGEST:
            return False
        self._untold.append((self._channel(queue), Hint(at, made)))
        return True

    def take(self) -> list[tuple[str, Hint]]:
        """With their channels; they are the caller's to tell."""
        untold, self._untold = self._untold, []
        return untold
