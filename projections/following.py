"""Following the log: fetch, fold, hand over to SQL, and settle what became of it. Fetching and folding go on while Postgres works.

A commit that follows nobody or cannot be read stops its partition with an alarm; the others go on.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, assert_never

import structlog

from ledger.config import Settings
from ledger.core.refusal import Unavailable
from ledger.kafka.log_reader import Record
from ledger.kafka.opening import LogIdentity
from ledger.spread import spread
from projections.patches import Source
from projections.places import tails_from
from projections.positions import Applied, Duplicate, Gap, Outcome, Position, Untaken
from projections.projection import Projection
from projections.sql_thread import SqlThread
from projections.subscription import Subscription
from projections.tail import Tail

log = structlog.get_logger(__name__)
MOST_EVENTS: Final = 60_000  # folded and not written yet; beyond it fetching waits for Postgres
MANY_EVENTS: Final = 200  # in a batch: that is load, and the next one waits to grow
FEW_EVENTS: Final = 20  # in a batch: it waits for nothing; between the two it waits the longer, the more there are
BREATH: Final = 0.02  # seconds between requests to the broker meanwhile
GATHERING: Final = 0.006  # seconds from the first news on: a quick job's request, start and end are one transaction
PACE: Final = 0.2  # seconds between batches under load: a transaction costs as much as two hundred rows
QUIET: Final = 0.03  # seconds without news at the end of the log, after which nothing is worth waiting for; more than a breath
PAUSE: Final = 1.0
LOOK_AGAIN: Final = 1.0  # seconds between looks at the positions, while there is nothing to write


@dataclass(slots=True)
class Progress:
    """What this process did since it started."""

    events: int = 0
    batches: int = 0
    voids: int = 0
    behind: int = 0  # records of our partitions not read yet
    away: str | None = None
    stopped: tuple[str, ...] = ()


Report = Callable[[Progress], None]


async def pause(stop: asyncio.Event, error: Unavailable) -> None:
    """Say that Kafka is away, and wait a little, unless `stop`."""
    log.warning("waiting for Kafka", action="projection.kafka_away", detail=str(error))
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), spread(PAUSE))


class Consumer:
    def __init__(
        self,
        settings: Settings,
        identity: LogIdentity,
        projection: Projection,
        subscription: Subscription,
        sql: SqlThread,
        report: Report,
    ) -> None:
        self.progress = Progress()
        self._settings = settings
        self._projection = projection
        self._identity = identity
        self._subscription = subscription
        self._sql = sql
        self._report = report
        self._tails: dict[Source, Tail] = {}
        self._sought: set[Source] = set()  # a jump in the offsets was met there and read again, to be sure
        self._alarmed: set[Source] = set()
        self._connections = 1
        self._paced_until = 0.0
        self._heard_at = 0.0  # when records came last
        self._writing: asyncio.Task[Mapping[Source, Outcome]] | None = None
        self._looking: asyncio.Task[Mapping[Source, Position | None]] | None = None
        self._looked = (0.0, 0)  # when, and after how many batches

    async def follow(self, stop: asyncio.Event) -> None:
        """Fetch, fold, hand over to SQL, until `stop`."""
        stopping = asyncio.ensure_future(stop.wait())
        fetching = asyncio.ensure_future(self._next_records())
        try:
            while not stop.is_set():
                await self._change_hands()
                full = self._folded() >= MOST_EVENTS
                awaited: list[asyncio.Future[Any]] = [stopping]  # Any: they are waited for and not looked into
                if not full or self._writing is None:
                    awaited.append(fetching)
                awaited += [task for task in (self._writing, self._looking) if task is not None]
                await asyncio.wait(awaited, timeout=self._rest(), return_when=asyncio.FIRST_COMPLETED)
                if fetching.done() and not full:
                    self._take(await self._fetched(fetching, stop))
                    fetching = asyncio.ensure_future(self._next_records())
                await self._hand_over()
                await self._look_again()
                self._tell()
        finally:
            if self._looking is not None:
                self._looking.cancel()
            stopping.cancel()
            fetching.cancel()

    async def finish(self) -> None:
        """Wait for the batch that is under way."""
        if self._writing is not None:
            await self._writing

    async def _next_records(self) -> Mapping[Source, Sequence[Record]]:
        """Under load a little later: a request for one record costs as much as one for a hundred."""
        if (rest := self._rest()) is not None:
            await asyncio.sleep(min(BREATH, rest / 2))
        return await self._subscription.fetch()

    async def _fetched(
        self, fetching: "asyncio.Future[Mapping[Source, Sequence[Record]]]", stop: asyncio.Event
    ) -> Mapping[Source, Sequence[Record]]:
        try:
            return await fetching
        except Unavailable as error:
            await pause(stop, error)
            return {}

    async def _change_hands(self) -> None:
        """Let go of partitions that were taken from us, and find the place in those that were given."""
        for source in self._subscription.gone:
            self._tails.pop(source, None)
        self._subscription.gone.clear()
        if not self._subscription.fresh:
            return
        fresh = sorted(self._subscription.fresh)
        self._subscription.fresh.clear()
        for source in fresh:
            self._tails.pop(source, None)
        try:
            tails = await tails_from(self._settings, self._identity, self._projection, await self._sql.open(fresh))
        except Unavailable as error:
            log.warning("waiting for Kafka", action="projection.kafka_away", detail=str(error))
            self._subscription.fresh.update(source for source in fresh if self._subscription.has(source))
            return
        for tail in tails:
            self._tails[tail.source] = tail
            self._sought.discard(tail.source)
            self._alarmed.discard(tail.source)
            self._subscription.seek(tail.source, tail.next_offset)
            log.info("following", action="projection.follows", log=tail.source[0], partition=tail.source[1], seq=tail.reached.head.seq)

    def _take(self, fetched: Mapping[Source, Sequence[Record]]) -> None:
        if fetched:
            self._heard_at = time.monotonic()
            if self._rest() is None and self._writing is None and self._folded() == 0:
                self._paced_until = self._heard_at + GATHERING
        for source, records in fetched.items():
            tail = self._tails.get(source)
            if tail is None or tail.broken is not None:
                continue
            news = records if records[0].offset >= tail.next_offset else [one for one in records if one.offset >= tail.next_offset]
            if news and news[0].offset > tail.next_offset and source not in self._sought:
                self._sought.add(source)  # a delivery is a hint: a jump is believed only when it is met twice
                self._subscription.seek(source, tail.next_offset)
                continue
            self._sought.discard(source)
            before, voids = tail.events, tail.reached.voids
            tail.feed(news)
            self.progress.events += tail.events - before
            self.progress.voids += tail.reached.voids - voids

    async def _hand_over(self) -> None:
        """Settle what was written, and give what was folded meanwhile to be written next."""
        if self._writing is not None:
            if not self._writing.done():
                return
            writing, self._writing = self._writing, None
            self._settle(await writing)
            self._ask_again_after_a_loss()
        folded = self._folded()
        if folded < MOST_EVENTS and self._rest() is not None:
            return
        stretches = [stretch for tail in self._tails.values() if (stretch := tail.take()) is not None]
        if stretches:
            self.progress.batches += 1
            self._paced_until = time.monotonic() + pace_of(folded)
            self._writing = asyncio.ensure_future(self._sql.apply(stretches, durable=self._behind() == 0))
        else:
            await self._raise_alarms()

    def _settle(self, outcomes: Mapping[Source, Outcome]) -> None:
        for source, outcome in outcomes.items():
            match outcome:
                case Applied():
                    pass
                case Duplicate(stored) | Gap(stored):
                    log.warning(
                        "the tables stand elsewhere, going on from there",
                        action="projection.moved",
                        log=source[0],
                        partition=source[1],
                        seq=None if stored is None else stored.seq,
                    )
                    self._tails.pop(source, None)
                    self._subscription.reopen(source)
                case Untaken(first, last, why):
                    if (tail := self._tails.get(source)) is not None:
                        tail.give_up(
                            f"Postgres does not take a row that follows from {source[0]}[{source[1]}], commits {first} to {last} ({why}): "
                            "nothing after them is read; another start tries again"
                        )
                case _:
                    assert_never(outcome)

    def _ask_again_after_a_loss(self) -> None:
        """A Postgres that crashed may stand behind what we were told: in partitions that are quiet now nobody else would notice."""
        if self._connections != self._sql.connections:
            self._connections = self._sql.connections
            for source in self._tails:
                self._subscription.reopen(source)
            self._tails.clear()

    async def _look_again(self) -> None:
        """A swap puts tables in place that may stand elsewhere: in partitions that are quiet now nobody else would notice."""
        if self._looking is not None and self._looking.done():
            looking, self._looking = self._looking, None
            for source, stored in (await looking).items():
                tail = self._tails.get(source)
                if tail is not None and tail.broken is None and self._looked[1] == self.progress.batches and not tail.events:
                    head = tail.reached.head
                    if stored is None or (stored.seq, stored.digest) != (head.seq, head.digest):
                        self._settle({source: Gap(stored)})
        idle = self._writing is None and self._looking is None and self._folded() == 0 and self._tails
        if idle and time.monotonic() - self._looked[0] >= LOOK_AGAIN:
            self._looked = time.monotonic(), self.progress.batches
            self._looking = asyncio.ensure_future(self._sql.standing(list(self._tails)))

    async def _raise_alarms(self) -> None:
        """Once everything before it is written: say that a partition stopped, here and where `projections status` finds it."""
        for source, tail in list(self._tails.items()):
            if tail.broken is not None and source not in self._alarmed:
                self._alarmed.add(source)
                self._subscription.hold(source)
                log.error("a partition stopped", action="projection.stopped", log=source[0], partition=source[1], detail=str(tail.broken))
                await self._sql.stop_at(source, str(tail.broken))

    def _tell(self) -> None:
        progress = self.progress
        progress.behind = self._behind()
        progress.away = self._sql.away
        progress.stopped = tuple(str(tail.broken) for tail in self._tails.values() if tail.broken is not None)
        self._report(progress)

    def _folded(self) -> int:
        """Events that were not handed over yet."""
        return sum(tail.events for tail in self._tails.values())

    def _rest(self) -> float | None:
        """Seconds that the next batch has to wait; None if it need not."""
        rest = goes_at(self._paced_until, self._heard_at, self.progress.behind) - time.monotonic()
        return rest if rest > 0 else None

    def _behind(self) -> int:
        return sum(self._subscription.behind(source, tail.next_offset) for source, tail in self._tails.items())


def goes_at(paced_until: float, heard_at: float, behind: int) -> float:
    """When the next batch goes: at its pace, or once nothing more comes. `behind`: records that are there and were not read."""
    return paced_until if behind else min(paced_until, heard_at + QUIET)


def pace_of(events: int) -> float:
    """Seconds from a batch of so many to the next one."""
    return PACE * min(1.0, events / MANY_EVENTS) if events > FEW_EVENTS else 0.0
