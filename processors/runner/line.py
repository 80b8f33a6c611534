"""A line of the gate: who waits for the same thing in this worker, and for how long that makes sense."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from processors.runner.attempt import Attempt

PATIENCE: Final = 0.25  # seconds that an offer waits here for a slot


@dataclass(slots=True)
class Line:
    """Those who wait for the same thing, the next one first, and how many of them got it lately."""

    waiting: deque[Attempt] = field(default_factory=deque)
    admitted: int = 0  # in the present quarter of a second
    admitted_before: int = 0  # in the one before
    patience: float = PATIENCE

    def overdue(self, now: float, since: float) -> list[Attempt]:
        """Those who waited too long (what was before `since` does not count) and will not be served soon at its pace; they leave it."""
        soon = max(self.admitted, self.admitted_before)
        if len(self.waiting) <= soon or now - since <= self.patience:
            return []
        late = [attempt for attempt in islice(self.waiting, soon, None) if now - attempt.arrived > self.patience]
        if late:  # anywhere: who came here from another line may have arrived before those ahead of it
            leaving = set(late)
            self.waiting = deque(attempt for attempt in self.waiting if attempt not in leaving)
        return late

    def turn_page(self) -> None:
        self.admitted_before, self.admitted = self.admitted, 0
