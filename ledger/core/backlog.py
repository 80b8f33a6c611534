"""The backlog of a partition: who waits, in which order. Priority first, then fair between tenants, then age.

Derived from the fold and never stored. Entries whose execution has gone another way meanwhile are stepped over when they are taken.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.core.ids import ExecutionId, Token

Entry = tuple[ExecutionId, Token]


@dataclass(slots=True)
class Lane:
    """The entries of one queue and one priority: a line per tenant, served in turn."""

    lines: dict[str | None, deque[Entry]] = field(default_factory=dict)
    turns: deque[str | None] = field(default_factory=deque)

    def add(self, tenant: str | None, entry: Entry, *, first: bool) -> None:
        line = self.lines.get(tenant)
        if line is None:
            line = self.lines[tenant] = deque()
            (self.turns.appendleft if first else self.turns.append)(tenant)
        (line.appendleft if first else line.append)(entry)

    def take(self) -> Entry | None:
        if not self.turns:
            return None
        tenant = self.turns.popleft()
        line = self.lines[tenant]
        entry = line.popleft()
        if line:
            self.turns.append(tenant)
        else:
            del self.lines[tenant]
        return entry

    def sift(self, is_waiting: Callable[[Entry], bool]) -> int:
        """Only what still waits stays; how many that are."""
        sifted = {tenant: deque(filter(is_waiting, line)) for tenant, line in self.lines.items()}
        self.lines = {tenant: line for tenant, line in sifted.items() if line}
        self.turns = deque(tenant for tenant in self.turns if tenant in self.lines)
        return sum(map(len, self.lines.values()))


@dataclass(slots=True)
class Backlog:
    """All queues of a partition."""

    queues: dict[str, dict[int, Lane]] = field(default_factory=dict)
    entries: int = 0

    def add(self, queue: str, priority: int, tenant: str | None, entry: Entry, *, first: bool = False) -> None:
        """Put an entry at the end of its line, or back to the front of it."""
        lanes = self.queues.get(queue)
        if lanes is None:
            lanes = self.queues[queue] = {}
        lane = lanes.get(priority)
        if lane is None:
            lane = lanes[priority] = Lane()
            self.queues[queue] = dict(sorted(lanes.items()))
        lane.add(tenant, entry, first=first)
        self.entries += 1

    def is_empty(self, queue: str) -> bool:
        """Nobody stands in it, not even somebody who went another way."""
        return not any(lane.turns for lane in self.queues.get(queue, {}).values())

    def take(self, queue: str, most: int, is_waiting: Callable[[Entry], bool]) -> list[Entry]:
        """Up to `most` entries of the queue that still wait, best first; they leave the backlog."""
        taken: list[Entry] = []
        for lane in self.queues.get(queue, {}).values():
            while len(taken) < most and (entry := lane.take()) is not None:
                self.entries -= 1
                if is_waiting(entry):
                    taken.append(entry)
        return taken

    def sift(self, is_waiting: Callable[[Entry], bool]) -> None:
        """Only what still waits stays."""
        self.entries = sum(lane.sift(is_waiting) for lanes in self.queues.values() for lane in lanes.values())
