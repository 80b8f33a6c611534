"""Step 3, gate: how many attempts run at the same time, in this process and per job name, and who waits here for how long.

The offers that wait here are few and do not wait long: what finds no slot is given back, so that an idle worker can have it. What a limit
over all workers refused at its claim waits here too, without a slot, in a line of its own.

An exclusive attempt goes on without a slot, as its code is far from beginning: it takes one once its start is accepted. So many are let on
as will probably find one by then. The room that its job has of its own it takes here.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ledger.core.limits import Limit
from ledger.handlers import RunIn
from processors.runner.attempt import Attempt
from processors.runner.behind_limits import BehindLimits, LimitLine
from processors.runner.line import PATIENCE, Line

GAP: Final = 0.15  # seconds between two looks at them that tell of a standstill
MOST_WAITING: Final = 5000
BEHIND_SLOW: Final = (
    8  # one for so many slots may wait where all are taken by what does not end soon: more would be kept from other workers
)
MOST_STARTING: Final = 1000
MOST_BYTES_WAITING: Final = 64 * 1024 * 1024
NO_ROOMS: Final[Mapping[RunIn, int]] = MappingProxyType({})


class Gate:
    """`rooms`: how many attempts run in processes, or in threads, where these are fewer than slots; their handlers have a `concurrency`."""

    def __init__(
        self,
        slots: int,
        rooms: Mapping[RunIn, int] = NO_ROOMS,
        *,
        most_waiting: int = MOST_WAITING,
        most_bytes: int = MOST_BYTES_WAITING,
    ) -> None:
        self.slots = slots
        self.free = slots
        self._rooms = dict(rooms)  # what is left of each
        self._line = Line()
        self._exclusive = Line()
        self._starting: set[Attempt] = set()  # exclusive ones that were let on and have no slot yet
        self._parked: dict[str, Line] = {}  # of jobs that run as often as they may, by job name
        self._behind = BehindLimits()
        self._running: dict[str, int] = {}  # of jobs with a limit of their own
        self._waiting = 0
        self._bytes = 0
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._page_turned = 0.0
        self._moved = False  # a slot was taken or left in the present quarter of a second
        self._stands = False  # none was in the one before, and all are taken
        self._looked = 0.0
        self._patient_since = 0.0

    def __len__(self) -> int:
        """How many wait here."""
        return self._waiting

    def wait(self, attempt: Attempt) -> bool:
        """Let it wait for a slot. False: there is no room left to wait."""
        size = len(memoryview(attempt.offer.data))
        if self._waiting >= self._most_waiting or self._bytes + size > self._most_bytes:
            return False
        if self._stands and self._waiting > self.slots // BEHIND_SLOW:
            return False
        self._waiting += 1
        self._bytes += size
        (self._line if attempt.offer.exclusive_key is None else self._exclusive).waiting.append(attempt)
        return True

    def admit(self, most: int, still_wanted: Callable[[Attempt], bool]) -> list[Attempt]:
        """Up to `most` attempts that have a slot from now on. Those that are wanted no longer leave without one."""
        admitted: list[Attempt] = []
        for name, parked in list(self._parked.items()):
            before = len(admitted)
            while parked.waiting and self.free and len(admitted) < most and self._has_room(name, parked.waiting[0]):
                self._let_in(parked, parked.waiting.popleft(), admitted, still_wanted)
            if len(admitted) > before:
                self._parked[name] = self._parked.pop(name)  # the others come first the next time
        if self._behind:
            for behind in self._behind.open_lines():
                self._admit_from(behind, most, admitted, still_wanted)
        exclusive = self._exclusive
        while exclusive.waiting and self._will_be_seated() and len(admitted) < most:
            self._admit_next(exclusive, admitted, still_wanted)
        line = self._line
        while line.waiting and self.free and len(admitted) < most:
            self._admit_next(line, admitted, still_wanted)
        return admitted

    def _admit_next(self, line: Line, admitted: list[Attempt], still_wanted: Callable[[Attempt], bool]) -> None:
        attempt = line.waiting.popleft()
        name = attempt.offer.job_name
        if attempt.limits and (behind := self._behind.line_for(attempt)) is not None:
            behind.join(attempt)
        elif self._has_room(name, attempt):
            self._let_in(line, attempt, admitted, still_wanted)
        else:
            self._park(attempt)

    def _admit_from(self, line: LimitLine, most: int, admitted: list[Attempt], still_wanted: Callable[[Attempt], bool]) -> None:
        """A few of those who wait behind a limit are tried."""
        tries = line.widen()
        while line.waiting and tries > 0 and len(admitted) < most:
            first = line.waiting[0]
            if not (self.free if first.offer.exclusive_key is None else self._will_be_seated()):
                return
            attempt = line.waiting.popleft()
            if (other := self._behind.closed_for(attempt)) is not None:
                other.join(attempt)
            elif self._has_room(attempt.offer.job_name, attempt):
                tries -= 1
                self._let_in(line, attempt, admitted, still_wanted)
            else:
                self._park(attempt)

    def _park(self, attempt: Attempt) -> None:
        """Until one of its job has ended here; where that is because of a limit over all workers, it says so."""
        handler = attempt.handler
        own = next((limit for limit in attempt.limits if limit.scope == "job" and limit.concurrency is not None), None)
        attempt.limited_by = own if handler is not None and self._rooms.get(handler.run_in, 1) > 0 else None
        self._parked.setdefault(attempt.offer.job_name, Line()).waiting.append(attempt)

    def _will_be_seated(self) -> bool:
        """One more exclusive attempt will find a slot, at their present pace."""
        pace = max(self._exclusive.admitted, self._exclusive.admitted_before)
        return len(self._starting) < min(self.free + pace, MOST_STARTING)

    def _has_room(self, name: str, attempt: Attempt) -> bool:
        handler = attempt.handler
        if handler is None or handler.concurrency is None:
            return True
        return self._running.get(name, 0) < handler.concurrency and self._rooms.get(handler.run_in, 1) > 0

    def _let_in(self, line: Line, attempt: Attempt, admitted: list[Attempt], still_wanted: Callable[[Attempt], bool]) -> None:
        self._forget(attempt)
        if attempt.limits:
            attempt.limited_by = None
        if not still_wanted(attempt):
            return
        if attempt.offer.exclusive_key is None:
            line.admitted += 1
            self.free -= 1
            self._moved = True
        else:
            self._starting.add(attempt)
        if attempt.handler is not None and attempt.handler.concurrency is not None:
            self._running[attempt.offer.job_name] = self._running.get(attempt.offer.job_name, 0) + 1
            if attempt.handler.run_in in self._rooms:
                self._rooms[attempt.handler.run_in] -= 1
        admitted.append(attempt)

    def expect(self, attempt: Attempt) -> None:
        """An exclusive attempt that did not wait here will want a slot. Its job has no room of its own."""
        self._starting.add(attempt)

    def seat(self, attempt: Attempt) -> bool:
        """Give an exclusive attempt its slot. False: there is none."""
        if not self.free:
            return False
        self._starting.discard(attempt)
        self.free -= 1
        self._moved = True
        self._exclusive.admitted += 1
        return True

    def leave(self, attempt: Attempt) -> None:
        """Give its slot to the next."""
        if self._starting and attempt in self._starting:
            self._starting.discard(attempt)
        else:
            self.free += 1
            self._moved, self._stands = True, False
        name = attempt.offer.job_name
        if attempt.handler is not None and attempt.handler.concurrency is not None:
            self._running[name] -= 1
            if attempt.handler.run_in in self._rooms:
                self._rooms[attempt.handler.run_in] += 1

    def refuse(self, attempts: Iterable[tuple[Attempt, Limit]]) -> None:
        """A limit over all workers is reached, so these were not claimed. They give their slots back and wait behind it, in their order."""
        back = list(attempts)
        for attempt, _ in back:
            self.leave(attempt)
            self._waiting += 1
            self._bytes += len(memoryview(attempt.offer.data))
        self._behind.refused(back)

    def close(self, limit: Limit, wait: float | None, now: float) -> float:
        """Try nothing under this limit for a while; the seconds until `open` has to be called."""
        return self._behind.close(limit, wait, now)

    def open(self, limits: Iterable[Limit], *, freed: bool = False) -> bool:
        """See `BehindLimits.open`."""
        return self._behind.open(limits, freed=freed)

    def opens_at(self, limit: Limit) -> float:
        """When a closed line is opened again; 0 if it is not closed."""
        line = self._behind.lines.get(limit)
        return line.opens_at if line is not None and line.closed else 0.0

    def overdue(self, now: float) -> list[Attempt]:
        """Those who waited too long; they do not wait here any more. To be asked often: after a gap this process itself stood still, which
        says nothing about slots, and the patience begins anew."""
        if now - self._looked > GAP:
            self._patient_since = now
        self._looked = now
        leaving = self._line.overdue(now, self._patient_since)
        if self._exclusive.waiting:
            leaving.extend(self._exclusive.overdue(now, self._patient_since))
        for line in self._parked.values():
            leaving.extend(line.overdue(now, self._patient_since))
        if self._behind:
            leaving.extend(self._behind.overdue(now, self._patient_since))
        if now - self._page_turned >= PATIENCE:
            self._turn_page(now)
        for attempt in leaving:
            self._forget(attempt)
        return leaving

    def _turn_page(self, now: float) -> None:
        self._page_turned = now
        self._stands, self._moved = not self.free and not self._moved, False
        self._line.turn_page()
        self._exclusive.turn_page()
        self._behind.turn_page()
        for name, line in list(self._parked.items()):
            line.turn_page()
            if not line.waiting and not line.admitted_before:
                del self._parked[name]

    def clear(self) -> list[Attempt]:
        """All who wait leave."""
        leaving = [*self._line.waiting, *self._exclusive.waiting, *self._behind.clear()]
        for line in self._parked.values():
            leaving.extend(line.waiting)
        self._line.waiting.clear()
        self._exclusive.waiting.clear()
        self._parked.clear()
        self._waiting = self._bytes = 0
        return leaving

    def _forget(self, attempt: Attempt) -> None:
        self._waiting -= 1
        self._bytes -= len(memoryview(attempt.offer.data))
