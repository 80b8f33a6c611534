"""How many offers of a queue may be outstanding in a partition: as many as its workers have room for, as far as they say."""

from dataclasses import dataclass
from typing import Final

LEAST_WINDOW: Final = 8
PAUSE: Final = 0.25  # seconds without offers to a queue whose workers have no room, unless something ends before


@dataclass(slots=True)
class Window:
    """Of one queue: grows with starts, shrinks when workers hand offers back."""

    most: int
    size: int
    outstanding: int = 0
    shrunk_at: float = -1.0
    paused_until: float = 0.0
    moved: bool = False  # something started since workers had no room last

    def started(self) -> None:
        self.size = min(self.most, self.size + 1)
        self.moved = True

    def full(self, now: float) -> None:
        """A worker had no room. If others have, and so start some, what it gave back is for them at once."""
        if now - self.shrunk_at > 0.1:
            self.size, self.shrunk_at = max(min(LEAST_WINDOW, self.most), self.size // 2), now
        if not self.moved:
            self.paused_until = now + PAUSE
        self.moved = False


class Windows(dict[str, Window]):
    """By queue; a queue that is new has one of the largest size."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self._largest = largest

    def __missing__(self, queue: str) -> Window:
        window = self[queue] = Window(self._largest, self._largest)
        return window

    def unpause(self) -> None:
        """An attempt ended, so there may be room again."""
        for window in self.values():
            window.paused_until = 0.0

    def opens_in(self, now: float) -> float | None:
        """Seconds until the first of those that are paused opens by itself, 0 if that is due; None: none is paused."""
        return min((max(0.0, window.paused_until - now) for window in self.values() if window.paused_until > 0), default=None)

    def open(self, now: float) -> bool:
        """Open those whose pause has passed. True if there were any."""
        passed = [window for window in self.values() if 0 < window.paused_until <= now]
        for window in passed:
            window.paused_until = 0.0
        return bool(passed)
