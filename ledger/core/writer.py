"""The one writer of a partition, without I/O: what it takes in, what it drafts, and how it learns what became of a draft.

The shell around it (`processors/control`) delivers records, appends drafts and reads the log; the simulation does the same in memory.
Rules (architecture.md, section 5): positions come from the log; a delivery is a hint; the state is replaced only by what is in the log.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Generic, Literal, TypeVar

from ledger.core import chain
from ledger.core.draft import Delivered, Draft
from ledger.core.fold import LogFold
from ledger.core.ids import Micros, Position, position
from ledger.core.wire import Item

Delivery = Literal["taken", "behind", "gap", "full"]
EXPECTED = 128  # commands that a draft is told of beforehand
MOST_WAITING = 50_000  # commands in the inbox; what comes beyond is refused and sought again

F = TypeVar("F", bound=LogFold)


class Writer(Generic[F]):
    """`next_offset` is the offset of the record of commands it expects next. A record may be taken half: its index counts too."""

    def __init__(self, fold: F) -> None:
        self.fold = fold
        self.inbox: deque[Delivered] = deque()
        self.next_offset = max(fold.head.position.offset, 0)
        self._delivered = Micros(0)  # append time of the record taken last

    def deliver(self, offset: int, appended: Micros, items: Sequence[Item]) -> Delivery:
        """Take a record of commands, unless it was taken before ("behind") or something before it is missing ("gap")."""
        if self.is_behind(offset):
            return "behind"
        if self.is_beyond(offset):
            return "gap"
        if len(self.inbox) >= MOST_WAITING:
            return "full"
        decided = self.fold.head.position
        for nth, item in enumerate(items):
            place = position(offset, nth)
            if self.is_news(place, decided):
                self.inbox.append(Delivered(place, appended, item))
        self.next_offset = offset + 1
        self._delivered = appended
        return "taken"

    def decided_until(self, at: Micros, end: int | None) -> Micros:
        """Up to which append time all commands are decided: what nobody has said by then was not said. `at`: the time now; `end`: the
        offset behind the last record of the topic; None if that is not known, so that more may stand in it."""
        if self.inbox:
            return min(at, self.inbox[0].appended)
        return at if end is not None and self.next_offset >= end else min(at, self._delivered)

    def is_behind(self, offset: int) -> bool:
        return offset < self.next_offset

    def is_beyond(self, offset: int) -> bool:
        return offset > self.next_offset

    def is_news(self, position: Position, decided: Position) -> bool:
        return position > decided

    def step_over(self, offset: int) -> None:
        """The topic was read: it holds no record between the expected offset and this one."""
        self.next_offset = max(self.next_offset, offset)

    def fill(self, draft: "Draft[F]") -> bool:
        """Decide from the inbox until it is empty or the draft full. False: a command needs the registry's present end first."""
        expected = 0
        while self.inbox:
            if expected == 0:
                draft.expect(islice(self.inbox, EXPECTED))
                expected = EXPECTED
            match draft.add(self.inbox[0]):
                case "added":
                    self.inbox.popleft()
                    expected -= 1
                case "full":
                    return True
                case "needs_facts":
                    return False
        return True

    def confirm(self, draft: "Draft[F]", record: bytes, offset: int) -> bool:
        """The draft's record was acknowledged at `offset`. False: another one stands where ours was expected, so nothing is known.
        A fold that somebody else feeds too (the registry's) may hold it already."""
        head, digest = self.fold.head, chain.digest(record)
        if head == draft.head and offset == head.next_offset:
            self.fold.accept(draft.header(), draft.events, digest, offset, draft.foreseen)
            return True
        if head.digest == digest and head.next_offset == offset + 1:
            return True
        self.abandon(draft)
        return False

    def abandon(self, draft: "Draft[F]") -> None:
        """The outcome is not known. The commands come back; the log is to be read before they are decided again."""
        self.inbox.extendleft(reversed(draft.taken))

    def feed(self, record: bytes | None, offset: int) -> chain.Verdict:
        """Fold a record of the log that this writer did not append, or does not know that it did."""
        return self.fold.feed(record, offset)

    def caught_up(self) -> None:
        """The log was read to its end: drop what is decided already."""
        decided = self.fold.head.position
        self.inbox = deque(delivered for delivered in self.inbox if self.is_news(delivered.position, decided))
        self.next_offset = max(self.next_offset, decided.offset)
