"""How far apart the commits of an actor are: as each costs the same, they shall be the fuller, the more comes in."""

import time
from typing import Final

UNDER_LOAD: Final = 4  # commands in a batch beyond which the next commit is paced
COMMANDS_A_PACE: Final = 40  # a batch of so many more waits one pace longer for the next
MOST_PACES: Final = 5


class Pacing:
    """`pace` in seconds."""

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._until = 0.0

    def took(self, commands: int) -> None:
        """A batch of so many is about to be appended."""
        self._until = time.monotonic() + self.of(commands)

    def of(self, commands: int) -> float:
        """Seconds until the next commit: none when idle."""
        return 0.0 if commands <= UNDER_LOAD else self._pace * min(MOST_PACES, 1 + commands // COMMANDS_A_PACE)

    def rest(self) -> float:
        """Seconds that are left; none, or less, if nothing is to be waited for."""
        return self._until - time.monotonic()
