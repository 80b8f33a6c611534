"""Grants that this process knows already: an offer that is delivered or made again is not performed again here, whatever Redis forgot."""

from typing import Final

MOST: Final = 50_000
MOST_GIVEN_BACK: Final = 5000


class Ended:
    """The claims of the last attempts that ended here: at least the last `most`, at most twice as many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._newer: set[str] = set()
        self._older: set[str] = set()

    def add(self, claim: str) -> None:
        if len(self._newer) >= self._most:
            self._older, self._newer = self._newer, set()
        self._newer.add(claim)

    def __contains__(self, claim: object) -> bool:
        return claim in self._newer or claim in self._older


class GivenBack(Ended):
    """Claims that were this worker's and were given back without a start: it may take them up if they are offered again."""

    def __init__(self) -> None:
        super().__init__(MOST_GIVEN_BACK)
