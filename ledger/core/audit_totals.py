"""What an audit of all partitions comes to: figures, differences, and the forwarded commands, which are looked for where they were sent."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from ledger.core.audit_saved import REMEMBERED, SAVED_VERSION, SavedAudit, SavedPartition, Sent, name_of

Check = Literal["commands", "ticks", "executions", "attempts"]
MOST_NAMED: Final = 100  # differences of one check
UNDER_WAY: Final = 60_000_000  # a forwarded command younger than this, at the end of the log, may still be on its way


class Difference(NamedTuple):
    """Where something does not add up."""

    check: Check
    where: str
    what: str


@dataclass(slots=True)
class Totals:
    """Of all partitions. `figures`: what was counted, by name."""

    figures: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)  # the first of each check; `found` counts all
    found: Counter[Check] = field(default_factory=Counter)
    forwarded: list[Sent] = field(default_factory=list)
    answered: set[tuple[int, int]] = field(default_factory=set)  # (partition, name of a command that has an outcome there)
    answered_last: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    at_end: Counter[str] = field(default_factory=Counter)  # figures that a later end of the log counts anew
    last_at: int = 0

    def differ(self, check: Check, where: str, what: str) -> None:
        self.found[check] += 1
        if self.found[check] <= MOST_NAMED:
            self.differences.append(Difference(check, where, what))

    @classmethod
    def going_on(cls, saved: SavedAudit) -> "Totals":
        """As they stood then."""
        answered = [(partition, name) for partition, name in saved.answered]
        last = deque(answered, maxlen=REMEMBERED)
        return cls(Counter(saved.figures), forwarded=list(saved.forwarded), answered=set(answered), answered_last=last, last_at=saved.at)

    def saved(self, log_id: str, chain: Mapping[str, int], partitions: Sequence[SavedPartition]) -> SavedAudit:
        """After all partitions were ended and the forwards counted."""
        figures, answered = dict(self.figures - self.at_end), list(self.answered_last)
        return SavedAudit(SAVED_VERSION, log_id, self.last_at, figures, dict(chain), self.forwarded, answered, list(partitions))

    def answer(self, partition: int, command_id: str) -> None:
        name = (partition, name_of(command_id))
        self.answered.add(name)
        self.answered_last.append(name)

    def count_forwards(self) -> None:
        """Once every partition was read: each forwarded command has its outcome where it was sent to."""
        forwarded, self.forwarded = self.forwarded, []
        for one in forwarded:
            if (one.partition, name_of(one.command_id)) in self.answered:
                self.figures["forwarded"] += 1
            elif one.at > self.last_at - UNDER_WAY:
                self.forwarded.append(one)
                self.at_end["under way"] += 1
                self.figures["under way"] += 1
            else:
                self.differ(
                    "commands", f"command {one.command_id}", f"it was forwarded to events[{one.partition}] and has no outcome there"
                )
