"""What a worker that takes no more gives back: once, for another worker. What comes again has no other, and is kept: no ping-pong."""

from processors.runner.attempt import Attempt


class TurnedAway:
    def __init__(self) -> None:
        self._claims: set[str] = set()
        self._kept: dict[str, Attempt] = {}  # by claim

    def give_or_keep(self, attempt: Attempt) -> bool:
        """True: it comes for the first time, and is to be given back at once."""
        if attempt.claim in self._claims:
            self._kept[attempt.claim] = attempt
            return False
        self._claims.add(attempt.claim)
        return True

    def take_kept(self) -> list[Attempt]:
        """To be given back now."""
        kept, self._kept = list(self._kept.values()), {}
        return kept
