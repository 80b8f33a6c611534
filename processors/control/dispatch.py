"""Offers of one partition: which of the waiting executions are outstanding at the workers. How many may be is in `windows.py`.

Volatile: it may be lost at any moment. A start that does not come is healed by the re-offer rule, never by a timer alone. No I/O here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Final

from ledger.core import wire
from ledger.core.backlog import Entry
from ledger.core.execution import (
    Active,
    AttemptFailed,
    AttemptLost,
    Cancelled,
    Completed,
    Failed,
    HandedBack,
    Lost,
    ReportRefused,
    Requested,
    Skipped,
    Snoozed,
    Started,
    Waiting,
)
from ledger.core.ids import Address, ExecutionId, Token, token_of
from ledger.core.partition import Partition
from processors.control.held import Held
from processors.control.limited import Limited
from processors.control.unfit import REASONS, Kind, Standing, Unfit
from processors.control.windows import LEAST_WINDOW, Windows

QUIET: Final = 2.0  # seconds without a start, after the runners' group has passed the offer's record; those that are decided count
FREES_A_SLOT: Final = frozenset({Completed, Failed, AttemptFailed, HandedBack, Snoozed, AttemptLost, Lost})
ENDS_AN_ATTEMPT: Final = FREES_A_SLOT | {Cancelled, Skipped}


@dataclass(slots=True)
class Outstanding:
    """An offer that was made and not started. `place` is None until its record was acknowledged."""

    token: Token
    queue: str
    place: tuple[int, int] | None = None  # partition and offset of its record in the work topic
    passed_at: float | None = None  # when the runners' group was first seen beyond it
    is_beyond: bool = False  # the topic ended before its record, as of the last look


@dataclass(slots=True)
class Suspects:
    """Executions that a former owner may have offered. Released once the runners' group has passed `horizon` and stayed quiet."""

    entries: list[tuple[ExecutionId, Token]]
    horizon: dict[int, int]  # partition of the work topic -> its end when this owner began
    passed_at: float | None = None


@dataclass(slots=True)
class Dispatch:
    partition: Partition
    largest_window: InitVar[int]
    offered: dict[ExecutionId, Outstanding] = field(default_factory=dict)
    windows: Windows = field(init=False)
    suspects: dict[str, Suspects] = field(default_factory=dict)
    again: dict[ExecutionId, int] = field(default_factory=dict)  # how often its grant was offered again; most never are
    unfit: Unfit = field(default_factory=Unfit)
    by_content: Callable[[Requested], bool] = lambda _: False  # see `offers`
    held: Held | None = None
    limited: Limited = field(default_factory=lambda: Limited(LEAST_WINDOW))
    began_at: int = 0  # a token: grants before this one may have been offered by a former owner

    def __post_init__(self, largest_window: int) -> None:
        self.windows = Windows(largest_window)

    def begin(self, ends: Callable[[str], dict[int, int]]) -> None:
        """A new owner: whatever waits may have been offered before."""
        self.began_at = token_of(self.partition.epoch, Address(self.partition.head.seq + 1, 0))
        for queue in list(self.partition.backlog.queues):
            entries = self.partition.backlog.take(queue, len(self.partition.executions), self._waits)
            if entries:
                self.suspects[queue] = Suspects(entries, ends(queue))

    def queues_in_doubt(self) -> set[str]:
        """Queues for which the place of the runners' group has to be looked up."""
        return set(self.suspects) | {one.queue for one in self.offered.values() if one.place is not None}

    def settle(self, events: Iterable[wire.Event]) -> None:
        """Learn from what is in the log now: what started or ended is no longer outstanding."""
        limited = self.limited if self.limited else None
        for event in events:
            kind = type(event)
            if kind is Requested or kind is ReportRefused:
                continue  # never offered yet; whatever a former worker says, the grant stands
            execution_id = getattr(event, "execution_id", None)
            if execution_id is None:
                continue
            if self.again:
                self.again.pop(execution_id, None)
            if self.unfit:
                for entry in reversed(self.unfit.settled(execution_id, started=kind is Started)):
                    self._wait_again(*entry)
            one = self._no_longer(execution_id, started=kind is Started)
            if limited is not None and kind in ENDS_AN_ATTEMPT:
                limited.ended(execution_id)
            if one is not None:
                if kind is Started:
                    self.windows[one.queue].started()
            elif kind in FREES_A_SLOT or (type(event) is Cancelled and event.attempt):
                self.windows.unpause()

    def _no_longer(self, execution_id: ExecutionId, *, started: bool = False) -> Outstanding | None:
        """It is not outstanding any more."""
        one = self.offered.pop(execution_id, None)
        if one is not None:
            self.windows[one.queue].outstanding -= 1
        if self.limited:
            self.limited.settled(execution_id, started=started)
        return one

    def opens_in(self, now: float) -> float | None:
        """Seconds until something may be offered again without an event, 0 if that is due; None: nothing is paused."""
        opens = self.windows.opens_in(now)
        limited = self.limited.opens_in(now) if self.limited else None
        return opens if limited is None else limited if opens is None else min(opens, limited)

    def open(self, now: float) -> bool:
        """End the pauses that have passed. True if there were any."""
        passed = self.windows.open(now)
        return self.limited.open(now) or passed

    def take_back(self, execution_ids: Iterable[tuple[ExecutionId, str]], now: float) -> None:
        """A worker returned these offers: they wait again, first in line; or aside, if it cannot run them at all."""
        full: set[str] = set()
        for execution_id, reason in execution_ids:
            if (one := self._no_longer(execution_id)) is None:
                continue
            if reason in REASONS:
                self._set_aside(execution_id, one.token, reason, now)
                continue
            if reason not in ("draining", "locked"):
                full.add(one.queue)
            self._wait_again(execution_id, one.token)
        for queue in full:
            self.windows[queue].full(now)

    def take_back_limited(self, returned: Sequence[tuple[ExecutionId, str, int]], now: float) -> None:
        """A worker returned these offers because a limit over all workers is reached: they wait for that, out of the way of others."""
        for execution_id, limit, wait_ms in reversed(returned):  # so that they stand in their order
            if (one := self._no_longer(execution_id)) is None:
                continue
            state = self.partition.executions.get(execution_id)
            if isinstance(state, Waiting) and state.token == one.token:
                self.limited.returned((execution_id, one.token), state.request, limit, wait_ms / 1000, now)

    def folded_again(self) -> None:
        """The fold moved unseen: what was outstanding may have started."""
        for execution_id in list(self.offered):
            state = self.partition.executions.get(execution_id)
            if not (isinstance(state, Waiting) and state.token == self.offered[execution_id].token):
                self._no_longer(execution_id, started=isinstance(state, Active))
        self.limited.folded_again(lambda execution_id: isinstance(self.partition.executions.get(execution_id), Active))

    def _set_aside(self, execution_id: ExecutionId, token: Token, reason: str, now: float) -> None:
        state = self.partition.executions.get(execution_id)
        if isinstance(state, Waiting) and state.token == token:
            request = state.request
            kind = Kind(request.queue, request.job_name, request.job_version, self.by_content(request))
            self.unfit.returned((execution_id, token), kind, reason, now, self._standing)

    def hopeless(self, now: float) -> list[tuple[ExecutionId, Token]]:
        """What is to be skipped because no worker can run it. What was paused meanwhile waits on, aside."""
        for execution_id, token in list(self.unfit.hopeless.items()):
            if self._standing((execution_id, token)) == "paused":
                del self.unfit.hopeless[execution_id]
                self._set_aside(execution_id, token, "paused", now)
        return list(self.unfit.hopeless.items())

    def _wait_again(self, execution_id: ExecutionId, token: Token) -> None:
        state = self.partition.executions.get(execution_id)
        if isinstance(state, Waiting) and state.token == token:
            request = state.request
            self.partition.backlog.add(request.queue, request.priority, request.tenant, (execution_id, token), first=True)

    def take(self, now: float) -> dict[str, list[ExecutionId]]:
        """What to offer now, by queue; it counts as outstanding from here on."""
        chosen: dict[str, list[ExecutionId]] = {}
        if self.unfit:
            for entry in self.unfit.due(now, self._standing):
                self._wait_again(*entry)
        for entry in self.held.released() if self.held is not None else ():
            self._wait_again(*entry)
        may_go = self._may_go if self.held else self._waits
        for queue in list(self.partition.backlog.queues):
            window = self.windows[queue]
            room = window.size - window.outstanding
            if room <= 0 or window.paused_until > now:
                continue
            entries = self._take(queue, room, may_go, now)
            window.outstanding += len(entries)
            if entries:
                chosen[queue] = [execution_id for execution_id, _ in entries]
        return chosen

    def _take(self, queue: str, room: int, may_go: Callable[[Entry], bool], now: float) -> list[Entry]:
        """Those first whose limit has room again, for they came first. An entry counts as offered at once: it may stand here twice, to be
        tried by `unfit` and released from a pause."""
        limited = self.limited if self.limited.limits else None

        def passes(entry: Entry) -> bool:
            if not may_go(entry):
                return False
            if limited is not None:
                state = self.partition.executions.get(entry[0])
                if not (isinstance(state, Waiting) and limited.passes(entry, state.request, now)):
                    return False
            self.offered[entry[0]] = Outstanding(entry[1], queue)
            return True

        due = [entry for entry in limited.due(queue, room, now, self._waits) if passes(entry)] if limited is not None else []
        return due + self.partition.backlog.take(queue, room - len(due), passes)

    def _standing(self, entry: tuple[ExecutionId, Token]) -> Standing:
        state = self.partition.executions.get(entry[0])
        if not isinstance(state, Waiting) or state.token != entry[1]:
            return "gone"
        if self._is_offered(entry):
            return "offered"
        return "paused" if self.held is not None and self.held.holds(state.request) else "free"

    def _may_go(self, entry: tuple[ExecutionId, Token]) -> bool:
        return self._waits(entry) and not (self.held is not None and self.held.takes(entry))

    def _waits(self, entry: tuple[ExecutionId, Token]) -> bool:
        return self.partition.is_waiting(entry) and not self._is_offered(entry)

    def _is_offered(self, entry: tuple[ExecutionId, Token]) -> bool:
        """The present grant of this execution is outstanding. If a former one still is, that is over."""
        one = self.offered.get(entry[0])
        if one is not None and one.token < entry[1]:
            self._no_longer(entry[0])
            return False
        return one is not None

    def placed(self, execution_ids: Iterable[ExecutionId], partition: int, offset: int) -> None:
        """The record with these offers stands there."""
        for execution_id in execution_ids:
            if (one := self.offered.get(execution_id)) is not None:
                one.place, one.passed_at, one.is_beyond = (partition, offset), None, False

    def unsent(self, execution_ids: Iterable[ExecutionId]) -> None:
        """Whether these were offered is not known: a later look at the runners' group cannot tell either, so they are offered again."""
        for execution_id in execution_ids:
            if (one := self._no_longer(execution_id)) is not None:
                self._wait_again(execution_id, one.token)

    def vanished(self, ends: dict[str, dict[int, int]]) -> list[ExecutionId]:
        """What was offered in a topic that was made anew, and waits again. `ends`: queue -> partition -> where it ends. A look may be older
        than the record's ack, so it takes two in a row."""
        gone: list[ExecutionId] = []
        for execution_id, one in self.offered.items():
            end = None if one.place is None else ends.get(one.queue, {}).get(one.place[0])
            was_beyond, one.is_beyond = one.is_beyond, end is not None and one.place is not None and one.place[1] >= end
            if was_beyond and one.is_beyond:
                gone.append(execution_id)
        self.unsent(gone)
        for queue, suspects in self.suspects.items():
            now = ends.get(queue, {})
            suspects.horizon = {partition: min(end, now.get(partition, end)) for partition, end in suspects.horizon.items()}
        return gone

    def heal(self, committed: dict[str, dict[int, int]], now: float, heard: float | None = None) -> dict[str, list[ExecutionId]]:
        """The re-offer rule. `committed`: queue -> partition -> the offset the runners' group reads next (or the topic's log start).
        `heard`: until when all that workers said is in the fold; `now`, if nothing of it waits to be decided."""
        heard = now if heard is None else heard
        again: dict[str, list[ExecutionId]] = {}
        for execution_id, one in self.offered.items():
            if one.place is None or committed.get(one.queue, {}).get(one.place[0], 0) <= one.place[1]:
                continue
            if one.passed_at is None:
                one.passed_at = now
            elif heard - one.passed_at >= QUIET:
                one.place, one.passed_at = None, None
                self.again[execution_id] = self.again.get(execution_id, 0) + 1
                again.setdefault(one.queue, []).append(execution_id)
        for queue in list(self.suspects):
            self._release(queue, committed.get(queue), now, heard)
        return again

    def times_again(self, execution_id: ExecutionId) -> int:
        """How often its grant was offered before without a start, as far as this owner knows."""
        one = self.offered.get(execution_id)
        by_another = one is not None and one.token < self.began_at
        return self.again.get(execution_id, 0) + by_another

    def _release(self, queue: str, committed: dict[int, int] | None, now: float, heard: float) -> None:
        suspects = self.suspects[queue]
        if committed is None or any(committed.get(partition, 0) < end for partition, end in suspects.horizon.items()):
            return
        if suspects.passed_at is None:
            suspects.passed_at = now
        if heard - suspects.passed_at < (QUIET if any(suspects.horizon.values()) else 0):
            return
        del self.suspects[queue]
        for execution_id, token in reversed(suspects.entries):
            self._wait_again(execution_id, token)
