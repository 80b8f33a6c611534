"""The registry as a replay knows it, from commit to commit. No I/O here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from ledger.core import definition, pause
from ledger.core.chain import Header
from ledger.core.ids import Address, Micros
from ledger.core.registry import RegistryFold, Touched
from ledger.core.wire import Event


@dataclass(frozen=True, slots=True)
class RegistryCommit:
    """`events`: what of it concerns the jobs that are replayed, and the pauses."""

    header: Header
    events: tuple[Event, ...]

    @property
    def is_news(self) -> bool:
        """Control appends a commit when it takes this over, also where that decides nothing."""
        return any(map(_is_news, self.events))


@dataclass(slots=True)
class Facts:
    commits: Sequence[RegistryCommit]
    fold: RegistryFold = field(default_factory=RegistryFold)
    _next: int = 0

    def reach(self, place: Address | None) -> Touched:
        for commit in self._to_reach(place):
            self.fold.accept(commit.header, commit.events, "", self._next)
            self._next += 1
        touched, self.fold.touched = self.fold.touched, Touched()
        return touched

    def news_at(self, place: Address | None) -> Micros | None:
        """When the first of what is still to be reached up to this place was said."""
        return next((Micros(commit.header.at) for commit in self._to_reach(place) if commit.is_news), None)

    def _to_reach(self, place: Address | None) -> Iterator[RegistryCommit]:
        following = (self.commits[nth] for nth in range(self._next, len(self.commits)))
        return takewhile(lambda commit: place is not None and commit.header.seq <= place.seq, following)


def _is_news(event: Event) -> bool:
    match event:
        case pause.Began() | pause.Ended() | definition.Versioned() | definition.Retired():
            return True
        case definition.ManifestApplied():
            return bool(event.in_force or event.retired)
        case _:
            return False
