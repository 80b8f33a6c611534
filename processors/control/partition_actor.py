"""The actor of one partition of `events`: timers, losses and ticks of its own, offers and news after each commit."""

import asyncio
import time
from collections.abc import Sequence

import structlog

from ledger.core import execution, tick, wire
from ledger.core.draft import Draft
from ledger.core.execution import Lose
from ledger.core.ids import Micros, WorkerId
from ledger.core.offers import is_by_content
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.refusal import Conflict
from ledger.core.registry import Touched
from processors.control import answers, snapshots
from processors.control.actor import IDLE_COMMIT, Actor
from processors.control.answers import Followers, Told
from processors.control.appender import Appender
from processors.control.dispatch import Dispatch
from processors.control.edges import Edges
from processors.control.facts import Facts
from processors.control.hearing import LOOK, ON_ITS_WAY, Hearing
from processors.control.held import Held
from processors.control.limited import Limited
from processors.control.orders import Addressed, Orders
from processors.control.relay import Relay
from processors.control.schedules import Schedules
from processors.control.sending import Sending
from processors.control.timers import Timers
from processors.control.unfit import Unfit
from processors.control.work import Work

log = structlog.get_logger(__name__)
REGISTRY_PATIENCE = 10.0  # seconds; its end was read, but a new leader may not know of all that the former one gave out
RELAYED_WITHIN = 1 / 3  # of a lease: a report that is older says little about whether its worker lives
BETWEEN_PLANS = 0.001  # seconds: others have their turn
ADOPTION_PAUSE = 0.25  # an act makes an idle actor append at most four times a second


class PartitionActor(Actor[Partition]):
    def __init__(self, edges: Edges, number: int, facts: Facts, work: Work, snapshot_appender: Appender) -> None:
        limits = edges.settings.limits
        backlogs = edges.settings.backlog_limits
        window = int(limits.deduplication_window * 1_000_000)
        fold = Partition(number, window=window, remembered=limits.remembered, counts_backlogs=bool(backlogs))
        self._backlog_limits = backlogs if backlogs else None
        super().__init__(edges, fold, "commands")
        self.facts = facts
        self.work = work
        self.followers = Followers()
        self.hearing = Hearing(edges, self.commands, number, self.writer)
        self.snapshots = snapshots.Snapshots.of_partition(edges.settings, fold, snapshot_appender)
        self.dispatch = Dispatch(
            fold,
            limits.offer_window,
            unfit=Unfit(limits.version_grace),
            by_content=lambda request: is_by_content(request, facts.registry),
            held=Held(fold, facts.registry.pauses),
            limited=Limited(limits.offer_window),
        )
        self.schedules = Schedules(fold, facts.registry, facts.engines)
        self.timers = Timers(fold)
        self.sending = Sending(edges, fold, facts.registry, self.dispatch, work, at=self._at, wake=self.wake)
        self.orders = Orders(fold, self._channel_of)
        self.relay = Relay(fold, facts.registry, self._channel_of)
        self._relays_within = round(limits.lease * RELAYED_WITHIN * 1_000_000)
        self._foreseen: list[Addressed] = []  # orders that follow from the draft under way

    def _channel_of(self, worker: WorkerId) -> str:
        return self.edges.settings.redis_key("orders", worker)

    async def restore(self) -> None:
        await self.snapshots.restore(self.edges.identity)

    async def recovered(self) -> None:
        await self.refresh_facts()
        await self._find_registry()
        self.schedules.begin()
        self.facts.listeners.add(self._notice)
        self.orders.begin()
        self.relay.begin()
        await self._begin_dispatch()

    async def _find_registry(self) -> None:
        """What the partition was decided with has to be there. Raises `Conflict`."""
        known = self.fold.head.registry
        if known is None:
            return
        try:
            async with asyncio.timeout(REGISTRY_PATIENCE):
                await self.facts.reach(known)
        except TimeoutError as error:
            raise Conflict(
                f"{self.topic}[{self.number}] was decided with commit {known.seq} of the registry, which ends at "
                f"{self.facts.registry.at.seq}: its end is gone (`jobledger ledger verify`), or `jobledger ledger import` was interrupted"
            ) from error

    async def _begin_dispatch(self) -> None:
        queues = list(self.fold.backlog.queues)
        ends = {queue: await self.work.ends(queue) for queue in queues}
        self.dispatch.begin(lambda queue: ends.get(queue, {}))

    async def end(self) -> None:
        self.facts.listeners.discard(self._notice)
        await super().end()

    def _notice(self, touched: Touched) -> None:
        if not self.schedules.notice(touched):
            return
        pause = self._committed_at + ADOPTION_PAUSE - time.monotonic()
        if pause > 0:
            asyncio.get_running_loop().call_later(pause, self.wake)
        else:
            self.wake()

    async def refresh_facts(self) -> None:
        await self.facts.reach_end(self.made_progress)

    def folded_again(self) -> None:
        """What was outstanding may have started; what is new here waits in the backlog."""
        self.dispatch.folded_again()
        self.dropped()
        self.schedules.begin()
        self.orders.begin()
        self.relay.begin()
        self._offer()

    def dropped(self) -> None:
        self.timers.dropped()
        self.schedules.dropped()

    def new_draft(self, at: Micros, *, fresh: bool) -> Draft[Partition]:
        draft = PartitionDraft(
            self.fold,
            self.facts.registry,
            at,
            facts_are_fresh=fresh,
            engines=self.schedules.engines,
            backlog_limits=self._backlog_limits,
            relays_within=self._relays_within,
        )
        if self.schedules.adopt(draft):
            self._lose(draft)
            self._give_up(draft)
            if self.edges.clock.in_doubt is None:
                self.schedules.fire(draft)
                self.timers.decide(draft, Micros(self.hearing.decided_until(time.monotonic(), draft.at) - ON_ITS_WAY))
        return draft

    def may_fill(self, draft: Draft[Partition]) -> bool:
        return isinstance(draft, PartitionDraft) and draft.adopts_up_to is not None

    def lose(self, worker: WorkerId) -> None:
        """The rescuer missed this worker for a whole lease."""
        if worker in self.fold.workers:
            self.hearing.miss(worker, time.monotonic())
            self.wake()

    def _lost(self) -> list[WorkerId]:
        return self.hearing.lost(self._heard(time.monotonic())) if self.hearing else []

    def _heard(self, now: float) -> float:
        return self.hearing.until(now, self._at())

    def _lose(self, draft: PartitionDraft) -> None:
        for worker in self._lost():
            for execution_id in list(self.fold.workers.get(worker, {})):
                loss = Lose(execution_id, worker, self.edges.settings.limits.max_lost_attempts)
                if not draft.include(draft.decide_loss(loss)):
                    return
            self.hearing.forget(worker)

    def _give_up(self, draft: PartitionDraft) -> None:
        """Skip what no worker could run for the whole grace."""
        if not self.dispatch.unfit.hopeless:
            return
        grace = self.edges.settings.limits.version_grace
        for execution_id, token in self.dispatch.hopeless(time.monotonic())[: wire.MOST_EVENTS]:
            events = draft.decide_loss(execution.GiveUp(execution_id, token, grace))
            if not events:
                del self.dispatch.unfit.hopeless[execution_id]
            elif not draft.include(events):
                return

    def next_due(self) -> float:
        if self.schedules.has_news:
            return max(0.0, self._committed_at + ADOPTION_PAUSE - time.monotonic())
        if self._lost() or self.dispatch.unfit.hopeless:
            return 0.0
        return min(self._next_time(), LOOK if self.hearing or self.timers.listens else IDLE_COMMIT)

    def _next_time(self) -> float:
        """Seconds until a timer, a tick, a portion of a backfill or a window is due; while time stands still, none is."""
        now = self.edges.clock.now()
        if now is None:
            return IDLE_COMMIT
        if self.schedules.may_backfill:
            return 0.0
        due = min((one for one in (self.timers.next_due(), self.schedules.next_due()) if one is not None), default=None)
        until = IDLE_COMMIT if due is None else max(0.0, (due - now) / 1e6)
        if until > 0 and (plan := self.schedules.next_plan()) is not None:
            until = min(until, max(BETWEEN_PLANS, (plan - now) / 1e6))
        opens = self.dispatch.opens_in(time.monotonic())
        return until if opens is None else min(until, max(0.01, opens))

    def comes_soon(self) -> float:
        soon = self.relay.comes_soon(self.writer.inbox, time.monotonic()) if self.relay else 0.0
        return min(soon, self.next_due()) if soon > 0 else 0.0

    def came_to_nothing(self) -> None:
        if (now := self.edges.clock.now()) is not None:
            self.schedules.plan(now)
        if self.dispatch.open(time.monotonic()):
            self._offer()

    async def _before(self, draft: Draft[Partition]) -> bool:
        self._foreseen = self.orders.foresee(draft.events)
        return await super()._before(draft)

    async def committed(self, draft: Draft[Partition]) -> None:
        events = tuple(draft.events)
        self.timers.committed()
        self._settle(draft, events)
        await answers.publish(self.edges.redis, self._foreseen)
        self._offer()
        draft.effects.answers.extend(self.followers.news(events))
        if self.relay:
            self.relay.heard(events, draft.effects.answers)
        if draft.effects.relayed:
            draft.effects.answers.extend(self.relay.tell(draft.effects.relayed, draft.at, time.monotonic()))
        self.snapshots.consider()

    def _settle(self, draft: Draft[Partition], events: tuple[wire.Event, ...]) -> None:
        """Keep step with the fold. Before anything else may run: whoever offers meanwhile offers what these events made ready."""
        self.dispatch.settle(events)
        self.dispatch.take_back(draft.effects.returned, time.monotonic())
        self.dispatch.take_back_limited(draft.effects.limited, time.monotonic())
        self.followers.add(draft.effects.followers)
        self._reckon(events)

    def to_tell(self, draft: Draft[Partition]) -> Sequence[tuple[str, Told]]:
        return [*draft.effects.answers, *self.sending.hints.take()]

    def _reckon(self, events: tuple[wire.Event, ...]) -> None:
        """What is due next of the schedules that these events moved."""
        if self.fold.schedules:
            self.schedules.committed({event.job_id for event in events if isinstance(event, tick.Event)})
        else:
            self.schedules.committed(set())

    # Offers

    def _offer(self) -> None:
        now = time.monotonic()
        self.dispatch.open(now)
        for queue, execution_ids in self.dispatch.take(now).items():
            self.sending.send(queue, execution_ids)

    def heal(self, committed: dict[str, dict[int, int]], ends: dict[str, dict[int, int]]) -> None:
        """The runners' groups have read up to here, and the work topics end there: offer again what was passed and did not start, and what
        is there no more."""
        if not self.ready:
            return
        if gone := self.dispatch.vanished(ends):
            log.warning(
                "offers are gone, made again: was their topic made anew?", action="offer.gone", partition=self.number, count=len(gone)
            )
        now = time.monotonic()
        if told := self.orders.again(now) + self.relay.again(self._at(), now):
            self.sending.tell(told)
        for queue, execution_ids in self.dispatch.heal(committed, now, self._heard(now)).items():
            log.info("offered again", action="offer.again", partition=self.number, queue=queue, count=len(execution_ids))
            self.sending.send(queue, execution_ids)
        self._offer()
