"""One partition of a log, followed from where the tables stand: judges commits by the chain's rule and folds the ones that count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ledger.core import chain
from ledger.core.chain import Head
from ledger.core.refusal import ChainBroken, Conflict, Undecodable
from ledger.kafka.log_reader import AcceptedCommit, Record, walk
from projections.patches import Changes, Place, Source
from projections.projection import Fold


@dataclass(frozen=True, slots=True)
class Reached:
    """A commit that was folded. `offset` is that of its record, -1 before the first; `voids` were skipped on the way."""

    head: Head
    offset: int = -1
    voids: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Commits of one partition, folded: those behind `before` up to `after`."""

    log_id: str
    before: Head
    after: Reached
    changes: Changes

    @property
    def source(self) -> Source:
        return self.before.log, self.before.partition


class Tail:
    """Fed with records in order. `broken` says why it cannot go on; what was folded before still counts."""

    def __init__(self, log_id: str, start: Reached, fold: Fold) -> None:
        self.reached = start
        self.broken: Conflict | None = None
        self.events = 0  # folded and not taken yet
        self.next_offset = start.head.next_offset
        self._log_id = log_id
        self._fold = fold
        self._before = start.head
        self.changes = Changes()  # folded and not taken yet

    @property
    def source(self) -> Source:
        return self._before.log, self._before.partition

    def feed(self, records: Sequence[Record]) -> None:
        """Fold the commits that every reader accepts, and stop at the first that cannot be read or follows nobody."""
        walked = walk(self.reached.head, records)
        for accepted in walked.commits:
            try:
                self._take_in(accepted)
            except Undecodable as error:
                self.broken = ChainBroken(*self.source, accepted.offset, str(error))
                return
        self.reached = replace(self.reached, voids=self.reached.voids + len(walked.voids))
        self.next_offset = walked.head.next_offset
        self.broken = walked.broken

    def _take_in(self, accepted: AcceptedCommit) -> None:
        commit = accepted.commit()
        place = Place(commit.partition, commit.seq, accepted.offset, commit.at)
        fold, changes = self._fold, self.changes
        for index, event in enumerate(commit.events):
            fold(changes, event, place, index)
        head = chain.after(self.reached.head, commit, accepted.digest, accepted.offset)
        self.reached = Reached(head, accepted.offset, self.reached.voids)
        self.next_offset = head.next_offset
        self.events += len(commit.events)

    def take(self, *, always: bool = False) -> Stretch | None:
        """What was folded since the last time; None if no commit was, unless `always`: changes that were held are wanted too."""
        if self.reached.head.seq == self._before.seq and not always:
            return None
        stretch = Stretch(self._log_id, self._before, self.reached, self.changes)
        self._before, self.changes, self.events = self.reached.head, Changes(), 0
        return stretch

    def give_up(self, why: str) -> None:
        """What was folded meanwhile is left: it follows what cannot be written."""
        self.take()
        self.broken = Conflict(why)

    def hold(self, changes: Changes) -> None:
        """Right after `take`: go on folding into patches of it that are not to be written yet."""
        self.changes = changes
