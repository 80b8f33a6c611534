"""A runner of one queue: the pipeline put together. See the package for its steps."""

import asyncio
import os
from typing import Final

import structlog
from msgspec import structs

from ledger.config import Settings
from ledger.config.settings import Limits
from ledger.core import wire
from ledger.core.ids import Micros, WorkerId, partition_of
from ledger.core.offers import Hint, Offer
from ledger.core.orders import Order
from ledger.core.request import Return
from ledger.handlers import Jobs, RunIn
from processors.runner import settle
from processors.runner.attempt import Attempt
from processors.runner.belief import Belief
from processors.runner.claims import NO_LIMITS, until_known
from processors.runner.edges import Edges
from processors.runner.gate import Gate
from processors.runner.guards import MARGIN, Guards
from processors.runner.known import Ended, GivenBack
from processors.runner.leaving import Leaving
from processors.runner.limiting import Limiting
from processors.runner.outbox import Outbox
from processors.runner.resolve import ReturnReason, Unknown, is_too_old, refuse_what_cannot_run, resolve
from processors.runner.running import Running
from processors.runner.starting import Starting, Ways, is_asked_for_first
from processors.runner.take import Record, attempts_of, claim_of, take
from processors.runner.turned_away import TurnedAway

log = structlog.get_logger(__name__)
MOST_AT_ONCE: Final = 500  # claims in one round trip
MOST_UNTOLD: Final = 10_000  # reports without an ack; beyond, nothing new is started
SWEEP: Final = 0.05  # seconds between two looks at who waits too long
LAST_WORDS: Final = 2.0  # seconds for code that was asked to stop, at the end of the grace
BACK_EVERY: Final = 1.0  # seconds that what was offered again waits, in a worker that finishes what runs
RELAYED: Final = 1.0  # seconds, at the end, for what control may have relayed here meanwhile
FLUSH: Final = 3.0  # seconds to tell what is untold, at the end


class Runner:
    """Made inside a running event loop. Feed it with `take`, run `run` beside, end with `drain`."""

    def __init__(self, settings: Settings, queue: str, jobs: Jobs, worker: WorkerId, edges: Edges) -> None:
        refuse_what_cannot_run(jobs, edges.ways)
        self._edges = edges
        rooms = rooms_of(settings.limits, edges)
        self._jobs = jobs.bounded(
            {one.name: min(one.concurrency or rooms[one.run_in], rooms[one.run_in]) for one in jobs if one.run_in in rooms}
        )
        self._queue = queue
        self._worker = worker
        self._grace = settings.limits.shutdown_grace
        self._claim_prefix = settings.redis_key("claim", "")
        self._gate = Gate(settings.limits.slots, rooms)
        self._outbox = Outbox(worker, queue, edges.sender, edges.bug, edges.monotonic)
        self._running = Running(
            self._outbox,
            edges.ways,
            self._has_ended,
            grace=self._grace,
            cancel_grace=settings.limits.cancel_grace,
            margin=settings.limits.lease * MARGIN,
            stuck=edges.stuck,
            overrun=edges.overrun,
            bug=edges.bug,
            clock=edges.monotonic,
        )
        self._guards = Guards(
            edges.locks,
            edges.renewals,
            worker,
            lambda key: settings.redis_key("lock", key),
            settings.limits.lease,
            self._is_unguarded,
            edges.overrun,
            edges.monotonic,
        )
        self._limiting = Limiting(settings, queue, jobs, self._gate, self.wake, edges.holders, edges.held_renewals, edges.monotonic)
        self._has_limits = bool(self._limiting)  # else nothing is asked of it on an attempt's way
        self._starting = Starting(
            self._guards,
            self._outbox,
            self._gate,
            Ways(self._running.begin, self._give_claimed_back, self._leave),
            edges.bug,
            channel=settings.redis_key("orders", worker),
            claim_prefix=self._claim_prefix,
            lease=settings.limits.lease,
            clock=edges.monotonic,
        )
        self._belief = Belief(edges.clock, settings.limits.lease, edges.monotonic)
        self._given_back = GivenBack()
        self._leaving = Leaving(edges.claims.let_go)  # claims
        self._waiting: dict[str, Attempt] = {}  # by claim, from their arrival until they start or leave
        self._ended = Ended()
        self._unknown = Unknown()
        self._wake = asyncio.Event()
        self._sweeping: asyncio.TimerHandle | None = None
        self._claims_away = False
        self._draining = False
        self._offered_itself = -RELAYED  # when it last said that it would take the next
        self._turned_away = TurnedAway()
        self._loop = asyncio.get_running_loop()

    # In: take, resolve, gate

    def take(self, record: Record) -> None:
        """A record of the work topic. Neither waits nor raises."""
        for attempt in take(record, self._claim_prefix, self._edges.monotonic()):
            self._enter(attempt)
        if self._gate:
            self._wake.set()
            self._sweep_later()

    def hear(self, hint: Hint) -> None:
        """Offers that Kafka brings in a moment. What there is room for at once is taken up now; all else is left to them."""
        if self._draining or self._gate or self._claims_away or not self._edges.liveness.is_held():
            return
        fit = attempts_of(hint.offers, self._claim_prefix, hint.at // 1000, self._edges.monotonic())
        for attempt in fit[: self._gate.free]:
            if resolve(attempt, self._jobs) is None:
                self._enter(attempt)
        if self._gate:
            self._wake.set()
            self._sweep_later()

    def _enter(self, attempt: Attempt) -> None:
        claim = attempt.claim
        known = self._waiting.get(claim)
        if known is not None:
            known.offered_ms = max(known.offered_ms, attempt.offered_ms)  # the same grant, believed longer
            if attempt.offer.again > known.offer.again:
                known.offer = structs.replace(known.offer, again=attempt.offer.again)
        elif claim in self._running.attempts or claim in self._starting.pending or claim in self._ended:
            return
        elif self._draining:
            self._refuse_while_draining(attempt)
        elif (reason := resolve(attempt, self._jobs)) is not None:
            self._unknown.say(attempt, reason)
            self._give_back(attempt, reason)
        elif not self._gate.wait(attempt):
            self._give_back(attempt, "no_slot")
        else:
            if self._has_limits:
                self._limiting.find(attempt)
            self._waiting[claim] = attempt

    def _refuse_while_draining(self, attempt: Attempt) -> None:
        if self._turned_away.give_or_keep(attempt):
            self._give_back(attempt, "draining")

    def _give_back(self, attempt: Attempt, reason: ReturnReason) -> None:
        self._waiting.pop(attempt.claim, None)
        self._outbox.give_back(attempt, reason)

    def _give_overdue_back(self, attempt: Attempt) -> None:
        if (limit := attempt.limited_by) is None:
            self._give_back(attempt, "no_slot")
        else:
            self._waiting.pop(attempt.claim, None)
            self._outbox.give_back(attempt, "limited", self._limiting.rest_ms(limit))

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        """Give back what waits too long for a slot; not while Redis is away, when no other worker could take it either."""
        self._sweeping = None
        if not self._claims_away and self._edges.liveness.is_held():
            for attempt in self._gate.overdue(self._edges.monotonic()):
                self._give_overdue_back(attempt)
        if self._gate:
            self._wake.set()
            self._sweep_later()

    # On: claim, start

    def wake(self) -> None:
        """Something that `run` waits for may have changed."""
        self._wake.set()

    def obey(self, order: Order) -> None:
        """What control tells of an attempt."""
        if not self._starting.obey(order):
            if order.why == "next" and order.offer is not None and order.at is not None:
                self._go_on(order.offer, order.at)
            else:
                self._running.obey(order)

    def _go_on(self, offer: Offer, at: Micros) -> None:
        """Control started this execution for us. That is old news where this worker was away since: it may have been called lost."""
        mono = self._edges.monotonic()
        claim = claim_of(self._claim_prefix, offer.execution_id, offer.token)
        if (known := self._running.attempts.get(claim)) is not None:
            self._starting.say_known(known)
        elif claim in self._ended or not self._was_here_since(at):
            return
        else:
            attempt = Attempt(offer, partition_of(offer.execution_id) or 0, claim, at // 1000, mono)
            if self._draining or resolve(attempt, self._jobs) is not None:
                self._ended.add(claim)
                self._starting.refuse(attempt)
            else:
                self._gate.expect(attempt)
                self._starting.go_on(attempt, lambda: self._was_here_since(at))

    def _was_here_since(self, at: Micros) -> bool:
        """Nobody can have called this worker lost since then: its lease had no gap."""
        now = self._edges.clock.now()
        return now is not None and (now - at) / 1e6 < self._edges.liveness.was_held_for()

    def held_claims(self) -> list[str]:
        """Safe from any thread."""
        return [*self._running.held_claims(), *self._starting.pending.copy()]

    def renew_locks(self) -> bool:
        """From the thread of the lease, the places under limits too. False: not all are."""
        places = self._limiting.renew()
        return self._guards.renew() and places

    async def run(self) -> None:
        """Claims and starts what waits, until cancelled."""
        await self._learn_the_time()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._admit():
                won = await self._claim(batch)
                if first := [attempt for attempt in won if is_asked_for_first(attempt)]:
                    self._starting.enter(first)
                    won = [attempt for attempt in won if not is_asked_for_first(attempt)]
                if won:
                    self._running.start(won)

    async def _learn_the_time(self) -> None:
        """An ack tells the broker's time, by which the age of an offer is judged. This command decides to nothing."""
        probe = Return(self._worker, self._queue, (), "draining")
        await self._edges.sender.send(0, wire.encode_many([probe]))

    def _admit(self) -> list[Attempt]:
        if not self._gate or self._draining or not self._edges.liveness.is_held() or len(self._outbox) > MOST_UNTOLD:
            return []
        oldest_ms = self._belief.oldest_ms()
        admitted = self._gate.admit(MOST_AT_ONCE, lambda attempt: self._is_believed(attempt, oldest_ms))
        self._belief.say_what_was_dropped()
        return admitted

    def _is_believed(self, attempt: Attempt, oldest_ms: int) -> bool:
        """What is not is forgotten here."""
        if self._belief.holds(attempt, oldest_ms):
            return True
        self._waiting.pop(attempt.claim, None)
        return False

    async def _claim(self, batch: list[Attempt]) -> list[Attempt]:
        """Those of the batch that are this worker's to perform; the others leave their slots."""
        keys, again = [attempt.claim for attempt in batch], [attempt.offer.again for attempt in batch]
        limits = self._limiting.of(batch) if self._has_limits else NO_LIMITS
        verdicts, repeated = await until_known(self._edges.claims, keys, again if any(again) else (), self._redis_is_away, limits)
        if limits:
            if repeated:  # an earlier question, whose answer got lost, may have won what is refused now
                for claim in keys:
                    self._given_back.add(claim)
            batch, verdicts = self._limiting.within(batch, verdicts, lambda attempt: attempt.claim in self._waiting)
        oldest_ms = self._belief.oldest_ms()
        won: list[Attempt] = []
        for attempt, verdict in zip(batch, verdicts, strict=True):
            ours = verdict == "won" or (verdict == "mine" and (repeated or attempt.claim in self._given_back))
            if attempt.claim in self._waiting and ours and self._belief.holds(attempt, oldest_ms):
                if is_too_old(attempt):
                    self._skip(attempt)
                else:
                    won.append(attempt)
            else:
                self._gate.leave(attempt)
                self._limiting.let_go(attempt)
            self._waiting.pop(attempt.claim, None)
        self._belief.say_what_was_dropped()
        return won

    def _skip(self, attempt: Attempt) -> None:
        """Its claim is ours, so we alone say it: instead of a start."""
        settle.too_old(attempt)
        attempt.started = attempt.ended = self._edges.monotonic()
        self._outbox.tell(attempt)
        self._has_ended(attempt)

    def _redis_is_away(self, away: bool) -> None:
        self._claims_away = away

    def _has_ended(self, attempt: Attempt) -> None:
        if attempt.offer.exclusive_key is not None:
            if self._would_go_on(attempt):
                attempt.takes_next, self._offered_itself = True, attempt.ended
            self._guards.let_go(attempt)
            self._outbox.hurry(attempt)
        self._leave(attempt)

    def _would_go_on(self, attempt: Attempt) -> bool:
        """With the next in line of its key, without being asked first: it takes room from nobody, and nothing limits it."""
        handler = attempt.handler
        return (
            not (self._draining or self._has_limits or self._gate)
            and handler is not None
            and handler.concurrency is None
            and attempt.outcome != "skipped"
            and self._edges.liveness.is_held()
        )

    def _leave(self, attempt: Attempt) -> None:
        self._ended.add(attempt.claim)
        self._make_room(attempt)

    def _make_room(self, attempt: Attempt) -> None:
        self._gate.leave(attempt)
        if attempt.limits:
            self._limiting.let_go(attempt)
        if self._starting.wants_slots:
            self._starting.seat_next()
        if self._gate:
            self._wake.set()

    def _give_claimed_back(self, attempt: Attempt, reason: ReturnReason) -> None:
        """Nothing of it is known to control. Its claim goes too, and if that fails an offer that comes again finds it here."""
        self._given_back.add(attempt.claim)
        self._leaving.add([attempt.claim])
        self._outbox.give_back(attempt, reason)
        self._make_room(attempt)

    def _is_unguarded(self, attempt: Attempt, why: str) -> None:
        if not self._starting.unguarded(attempt, why):
            self._running.unguarded(attempt, why)

    # Out

    async def finish(self) -> None:
        """Take no more, and let what runs end in its own time. What is offered meanwhile goes back, if it comes again only after a while:
        there may be no other worker."""
        self._take_no_more()
        while self._running.attempts or self._starting.pending:
            if self._running.attempts:
                await self._running.wait(BACK_EVERY)
            else:
                await asyncio.sleep(SWEEP)
            self._give_kept_back()

    def _give_kept_back(self) -> None:
        for attempt in self._turned_away.take_kept():
            self._give_back(attempt, "draining")

    def _take_no_more(self) -> None:
        self._draining = True
        for attempt in self._gate.clear():
            self._waiting.pop(attempt.claim, None)
            self._refuse_while_draining(attempt)
        self._starting.drain()

    @property
    def running(self) -> int:
        """How many attempts; from any thread."""
        return len(self._running.attempts)

    async def drain(self) -> bool:
        """Take no more, give back what has not started, let what runs end within the grace and hand back the rest, tell everything.

        False: there is code that does not end, and only the end of the process ends it. Bounded in time."""
        self._take_no_more()
        await self._running.wait(self._grace)
        for attempt in list(self._waiting.values()):  # claimed for so long because Redis is away
            self._give_back(attempt, "draining")
        self._running.hand_back()
        await self._running.wait(min(LAST_WORDS, self._grace))
        await asyncio.sleep(self._offered_itself + RELAYED - self._edges.monotonic())  # what comes meanwhile is handed back
        ended = not self._running.give_up()
        self._give_kept_back()
        try:
            async with asyncio.timeout(FLUSH):
                await self._outbox.flush()
                await self._guards.flush()
                await self._limiting.flush()
        except TimeoutError:
            log.error("reports were left untold; their executions will be taken as lost", action="reports.left", count=len(self._outbox))
            self._outbox.abandon()
        return ended


def rooms_of(limits: Limits, edges: Edges) -> dict[RunIn, int]:
    """Of which there are fewer than slots: an attempt that waited for a thread would be taken for one that runs."""
    rooms: dict[RunIn, int] = {"process": limits.processes or os.cpu_count() or 1}
    return rooms if edges.threads >= limits.slots else {**rooms, "thread": edges.threads}
