"""What a worker that takes no more gives back: once, for another worker. What comes again has no other, and is kept: no ping-pong."""

from processors.runner.attempt import Attempt


class TurnedAway:
    def __init__(self) -> None:
        self._came_again: dict[str, Attempt | None] = {}  # by claim

    def is_new(self, attempt: Attempt) -> bool:
        """To be given back at once; else it is kept."""
        if attempt.claim in self._came_again:
            self._came_again[attempt.claim] = attempt
            return False
        self._came_again[attempt.claim] = None
        return True

    def take(self) -> list[Attempt]:
        """What was kept, once: to be given back now."""
        kept = [attempt for attempt in self._came_again.values() if attempt is not None]
        for attempt in kept:
            self._came_again[attempt.claim] = None
        return kept
