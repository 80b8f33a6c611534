"""Executions that workers give back because their code is not deployed there (yet): kept out of the way of others, tried again now and
then, given up after a grace. What is too new for one worker is so for each like it, so one execution is tried for all of its version.

Only a version that is too new is given up; a job that some worker of the queue does not know waits for one that does, however long.

Volatile: a new owner begins the grace anew. It counts from the first return, and only a return ends it: while no worker says so, nobody
is skipped. No I/O here. Source: scheduling.md, section 4.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, NamedTuple

from ledger.core.ids import ExecutionId, Token

REASONS: Final = frozenset({"newer_version", "no_handler"})  # of a return
GIVEN_UP: Final = "newer_version"  # the one that ends in a skip
FIRST_PAUSE: Final = 0.2  # seconds until one is tried again; doubles
LONGEST_PAUSE: Final = 3.7  # not in step with anything that happens each second: the try shall come to each worker in turn
MOST_LOOKED_AT: Final = 1000

Entry = tuple[ExecutionId, Token]
Standing = Literal["free", "offered", "paused", "gone"]  # "gone": it does not wait any more


class Kind(NamedTuple):
    """What a worker can run or not."""

    queue: str
    job_name: str
    job_version: int
    by_content: bool = False  # a version that is for any handler of the job


@dataclass(slots=True)
class Hold:
    """The executions of one kind, in the order of their first return, with its time (or the time at which their grace began anew)."""

    next_try: float
    pause: float = FIRST_PAUSE
    entries: dict[ExecutionId, tuple[Token, float]] = field(default_factory=dict)
    trying: ExecutionId | None = None
    too_new_since: float | None = None  # when a worker first said that its handler is older


@dataclass(slots=True)
class Unfit:
    """`grace` in seconds. `hopeless`: to be skipped by an event; they leave when that has happened."""

    grace: float = 600.0
    holds: dict[Kind, Hold] = field(default_factory=dict)
    hopeless: dict[ExecutionId, Token] = field(default_factory=dict)
    _kinds: dict[ExecutionId, Kind] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._kinds or self.hopeless)

    def returned(self, entry: Entry, kind: Kind, reason: str, now: float, standing: Callable[[Entry], Standing]) -> None:
        """A worker said that it cannot run this. What is offered now is not given up, for a worker may start it; nor is what is paused."""
        execution_id, token = entry
        hold = self.holds.get(kind)
        if hold is None:
            hold = self.holds[kind] = Hold(now + FIRST_PAUSE)
        since = hold.entries[execution_id][1] if execution_id in hold.entries else now
        hold.entries[execution_id] = token, since
        self._kinds[execution_id] = kind
        if hold.trying == execution_id:
            hold.trying, hold.pause = None, min(LONGEST_PAUSE, 2 * hold.pause)
            hold.next_try = now + hold.pause
        if reason == GIVEN_UP:
            self._give_up(hold, kind, now, standing)

    def _give_up(self, hold: Hold, kind: Kind, now: float, standing: Callable[[Entry], Standing]) -> None:
        hold.too_new_since = now if hold.too_new_since is None else hold.too_new_since
        if now - hold.too_new_since < self.grace:
            return
        late = []
        for execution_id, (token, since) in hold.entries.items():
            if now - since < self.grace:
                break
            late.append((execution_id, token))
        for entry in late:
            match standing(entry):
                case "paused":
                    self._begin_anew(hold, entry, now)
                case "free":
                    self._leave(entry[0], kind)
                    self.hopeless[entry[0]] = entry[1]
                case _:
                    pass

    @staticmethod
    def _begin_anew(hold: Hold, entry: Entry, now: float) -> None:
        """Its grace: while it was paused, no worker was asked. The entries stay in the order of their times."""
        del hold.entries[entry[0]]
        hold.entries[entry[0]] = entry[1], now

    def due(self, now: float, standing: Callable[[Entry], Standing]) -> list[Entry]:
        """Those to be offered again now, one of each kind."""
        chosen: list[Entry] = []
        for kind, hold in list(self.holds.items()):
            if hold.next_try > now or self._is_tried(hold, standing):
                continue
            for execution_id, (token, _) in list(islice(hold.entries.items(), MOST_LOOKED_AT)):
                stands = standing((execution_id, token))
                if stands == "gone":
                    self._leave(execution_id, kind)
                elif stands == "free":
                    hold.trying = execution_id
                    chosen.append((execution_id, token))
                    break
        return chosen

    @staticmethod
    def _is_tried(hold: Hold, standing: Callable[[Entry], Standing]) -> bool:
        """One is on its way to a worker, and was not paused meanwhile."""
        if hold.trying is None:
            return False
        return standing((hold.trying, hold.entries[hold.trying][0])) in ("free", "offered")

    def settled(self, execution_id: ExecutionId, *, started: bool) -> list[Entry]:
        """It waits no longer. If a worker started it, the others of its kind can be offered, and leave: they are returned, oldest first."""
        self.hopeless.pop(execution_id, None)
        kind = self._kinds.get(execution_id)
        if kind is None:
            return []
        self._leave(execution_id, kind)
        if not started or (hold := self.holds.pop(kind, None)) is None:
            return []
        for other in hold.entries:
            del self._kinds[other]
        return [(other, token) for other, (token, _) in hold.entries.items()]

    def _leave(self, execution_id: ExecutionId, kind: Kind) -> None:
        hold = self.holds[kind]
        del self._kinds[execution_id], hold.entries[execution_id]
        if hold.trying == execution_id:
            hold.trying = None
        if not hold.entries:
            del self.holds[kind]
