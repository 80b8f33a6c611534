"""From the claim of an exclusive attempt to the first step of its code: its lock, its start, control's word, and only then a slot.

Others whose grant may have killed a worker before come here too, for control's word alone: what kills at once has to be counted first.

What waits here is bounded by the gate, and each wait is: for a lock a lease and a half, for control five seconds, for a slot a moment.
Then the attempt goes back to control, which grants it again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import structlog

from ledger.core.orders import Order
from processors.runner import settle
from processors.runner.attempt import Attempt
from processors.runner.guards import Guards
from processors.runner.locks import MOST_AT_ONCE
from processors.runner.outbox import Bug, Outbox
from processors.runner.resolve import ReturnReason
from processors.runner.take import claim_of

log = structlog.get_logger(__name__)
ASKED_AGAIN: Final = 0.5  # seconds until a start that was not answered is told again
UNANSWERED: Final = 5.0  # seconds until it is handed back
NO_SLOT: Final = 0.5  # seconds that an accepted attempt waits for a slot
LOCK_IN_LEASES: Final = 1.5  # so long it waits for a lock: who held it and died has left it by then
FIRST_POLL: Final = 0.005  # seconds until a lock that another holds is asked for again; then twice that, and so on
LAST_POLL: Final = 0.25
TICK: Final = 0.1
KNOWN: Final = 0.5  # seconds until a relayed attempt that still runs is said to be known here; most have ended by then

Step = Literal["locking", "asked", "accepted"]


def is_asked_for_first(attempt: Attempt) -> bool:
    """Its code begins only once control accepted its start: it is exclusive, or a worker may have died of it before it was told."""
    offer = attempt.offer
    return offer.exclusive_key is not None or offer.again > 0 or offer.attempt > 1


class Seats(Protocol):
    """The gate, as seen from here."""

    def seat(self, attempt: Attempt) -> bool: ...


@dataclass(slots=True, eq=False)
class Pending:
    """`since`: when its step began. `next_at`: when its lock or control is asked again."""

    attempt: Attempt
    since: float
    next_at: float
    step: Step = "locking"
    pause: float = FIRST_POLL
    stands: Callable[[], bool] | None = None  # of a relayed one: it cannot have been called lost so far

    @property
    def is_relayed(self) -> bool:
        return self.stands is not None


@dataclass(frozen=True, slots=True)
class Ways:
    """Where an attempt goes from here: on to its code, back as an offer nobody has taken up (its claim with it), or out, its grant void."""

    begin: Callable[[list[Attempt]], None]
    give_back: Callable[[Attempt, ReturnReason], None]
    leave: Callable[[Attempt], None]


class Starting:
    """`channel`: where control answers. `claim_prefix`: of the keys of claims."""

    def __init__(
        self,
        guards: Guards,
        outbox: Outbox,
        seats: Seats,
        ways: Ways,
        bug: Bug,
        *,
        channel: str,
        claim_prefix: str,
        lease: float,
        clock: Callable[[], float],
    ) -> None:
        self._guards = guards
        self._outbox = outbox
        self._seats = seats
        self._ways = ways
        self._bug = bug
        self._channel = channel
        self._claim_prefix = claim_prefix
        self._longest_lock = LOCK_IN_LEASES * lease
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.pending: dict[str, Pending] = {}  # by claim
        self._to_lock: deque[Pending] = deque()
        self._accepted: deque[Pending] = deque()  # in want of a slot
        self._locking: asyncio.Task[None] | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._draining = False

    @property
    def wants_slots(self) -> bool:
        return bool(self._accepted)

    def enter(self, attempts: Iterable[Attempt]) -> None:
        """Their claims are this worker's."""
        now = self._clock()
        for attempt in attempts:
            if self._draining:
                self._ways.give_back(attempt, "draining")
                continue
            pending = self.pending[attempt.claim] = Pending(attempt, now, now)
            if attempt.offer.exclusive_key is None:
                self._ask(pending, now)
            else:
                self._to_lock.append(pending)
        self._lock()
        if self._tick is None and self.pending:
            self._tick = self._loop.call_later(TICK, self._look_round)

    def go_on(self, attempt: Attempt, stands: Callable[[], bool]) -> None:
        """Control started it for this worker: what it wants is its lock and a slot. `stands` is asked when the lock is there: this process
        may have stood still until then, and another may have run it meanwhile."""
        now = self._clock()
        attempt.answer, attempt.said_start = self._channel, True
        pending = self.pending[attempt.claim] = Pending(attempt, now, now, stands=stands)
        self._to_lock.append(pending)
        self._lock()
        if self._tick is None:
            self._tick = self._loop.call_later(TICK, self._look_round)

    def say_known(self, attempt: Attempt) -> None:
        """Control may wonder whether this worker has heard of it."""
        if not attempt.ended:
            attempt.answer, attempt.start_again = self._channel, True
            self._outbox.tell(attempt)

    # The lock

    def _lock(self) -> None:
        if self._to_lock and self._locking is None:
            self._locking = self._loop.create_task(self._lock_all())
            self._locking.add_done_callback(self._locked)

    def _locked(self, locking: asyncio.Task[None]) -> None:
        if not locking.cancelled() and (error := locking.exception()) is not None:
            self._bug(error)

    async def _lock_all(self) -> None:
        """One round trip for all that want a lock at the moment; those that come meanwhile are next."""
        while self._to_lock:
            batch = [self._to_lock.popleft() for _ in range(min(MOST_AT_ONCE, len(self._to_lock)))]
            batch = [one for one in batch if self._is_here(one)]
            verdicts = await self._guards.take([one.attempt for one in batch]) if batch else []
            now = self._clock()
            for one, verdict in zip(batch, verdicts, strict=True):
                if not self._is_here(one):  # it left meanwhile
                    self._guards.let_go(one.attempt)
                elif verdict == "held" and one.stands is not None:
                    if one.stands():
                        self._accept(one)
                    else:
                        self._hand_back(one, "this worker stood still before it had the lock")
                elif verdict == "held":
                    self._ask(one, now)
                else:
                    self._lock_later(one, now, may_hold=verdict == "unknown")
        self._locking = None

    def _is_here(self, one: Pending) -> bool:
        return self.pending.get(one.attempt.claim) is one

    def _lock_later(self, one: Pending, now: float, *, may_hold: bool) -> None:
        if now - one.since >= self._longest_lock:
            log.warning(
                "its lock was not to be had in time: given back",
                action="lock.late",
                exclusive_key=one.attempt.offer.exclusive_key,
                execution_id=one.attempt.offer.execution_id,
            )
            if may_hold:
                self._guards.leave(one.attempt)
            if one.is_relayed:
                self._hand_back(one, "its lock was not to be had")
            else:
                self._give_back(one, "locked")
            return
        self._loop.call_later(one.pause, self._lock_again, one)
        one.pause = min(LAST_POLL, one.pause * 2)

    def _lock_again(self, one: Pending) -> None:
        if self._is_here(one):
            self._to_lock.append(one)
            self._lock()

    # The start

    def _ask(self, one: Pending, now: float) -> None:
        attempt = one.attempt
        one.step, one.since, one.next_at = "asked", now, now + ASKED_AGAIN
        attempt.started, attempt.answer = now, self._channel
        self._outbox.tell(attempt)
        self._outbox.hurry(attempt)

    def _look_round(self) -> None:
        self._tick = None
        now = self._clock()
        for one in list(self.pending.values()):
            waited = now - one.since
            if one.step == "asked":
                if waited >= UNANSWERED:
                    self._hand_back(one, "control did not answer its start")
                elif now >= one.next_at:
                    one.next_at = now + ASKED_AGAIN
                    one.attempt.start_again = True
                    self._outbox.tell(one.attempt)
            elif one.step == "accepted" and waited >= NO_SLOT:
                self._hand_back(one, "it found no slot")
        if self.pending:
            self._tick = self._loop.call_later(TICK, self._look_round)

    def obey(self, order: Order) -> bool:
        """Control's word on what waits here. True: it is for nobody else."""
        for one in self._meant(order):
            match order.why:
                case "accepted":
                    if one.step == "asked":  # else it is the answer to a repeat
                        self._accept(one)
                case "next":
                    self.say_known(one.attempt)
                case "fenced":
                    log.warning(
                        "control refused this start",
                        action="start.refused",
                        execution_id=order.execution_id,
                        attempt=one.attempt.offer.attempt,
                    )
                    self._forget(one)
                    self._ways.leave(one.attempt)
                case "cancelled":
                    self._hand_back(one, "it is to be cancelled")
            return True
        return order.why == "accepted"

    def _meant(self, order: Order) -> list[Pending]:
        if not self.pending:
            return []
        if order.token is not None:
            one = self.pending.get(claim_of(self._claim_prefix, order.execution_id, order.token))
            return [] if one is None else [one]
        return [
            one
            for one in self.pending.values()
            if one.attempt.offer.execution_id == order.execution_id and one.attempt.offer.attempt <= (order.attempt or 0)
        ]

    def _accept(self, one: Pending) -> None:
        if one.attempt.offer.exclusive_key is None:
            self._begin(one)  # it has its slot
        elif not self._guards.is_good(one.attempt):
            self._hand_back(one, "its lock cannot be counted on")
        elif not self._accepted and self._seats.seat(one.attempt):
            self._begin(one)
        else:
            one.step, one.since = "accepted", self._clock()
            self._accepted.append(one)

    def seat_next(self) -> None:
        """A slot is free."""
        while self._accepted and (not self._is_here(self._accepted[0]) or self._seats.seat(self._accepted[0].attempt)):
            one = self._accepted.popleft()
            if self._is_here(one):
                self._begin(one)

    def _begin(self, one: Pending) -> None:
        del self.pending[one.attempt.claim]
        self._ways.begin([one.attempt])
        if one.is_relayed:
            self._loop.call_later(KNOWN, self.say_known, one.attempt)

    # Back

    def unguarded(self, attempt: Attempt, why: str) -> bool:
        """Its lock is in doubt. True: it waits here, and goes back."""
        one = self.pending.get(attempt.claim)
        if one is None or one.attempt is not attempt:
            return False
        self._hand_back(one, why)
        return True

    def drain(self) -> None:
        """Nothing starts any more."""
        self._draining = True
        for one in list(self.pending.values()):
            if one.step == "locking" and not one.is_relayed:
                self._give_back(one, "draining")
            else:
                self._hand_back(one, "this worker has to go")

    def _give_back(self, one: Pending, reason: ReturnReason) -> None:
        """Control has not heard of it."""
        self._forget(one)
        self._ways.give_back(one.attempt, reason)

    def _hand_back(self, one: Pending, why: str) -> None:
        """Control may have accepted it. Its code never began."""
        attempt = one.attempt
        if self._outbox.take_back(attempt):  # its start is not even under way
            self._give_back(one, "draining" if self._draining else "no_slot" if attempt.offer.exclusive_key is None else "locked")
            return
        log.warning(
            "an attempt was handed back before its code began",
            action="start.handed_back",
            execution_id=attempt.offer.execution_id,
            why=why,
        )
        self._forget(one)
        self.refuse(attempt)
        self._ways.leave(attempt)

    def refuse(self, attempt: Attempt) -> None:
        """Control knows its start, and its code never begins."""
        settle.handed_back(attempt)
        attempt.said_start = True
        attempt.started = attempt.ended = self._clock()
        self._outbox.tell(attempt)
        self._outbox.hurry(attempt)

    def _forget(self, one: Pending) -> None:
        del self.pending[one.attempt.claim]
        self._guards.let_go(one.attempt)
