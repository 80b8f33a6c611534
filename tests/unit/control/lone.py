"""An actor of control with nothing of it connected to anything: the test has its log, its registry and its work topic in memory."""

import asyncio
from collections.abc import Callable
from typing import cast

from redis.asyncio import Redis

from ledger.config import Settings
from ledger.core import wire
from ledger.core.definition import Registry
from ledger.core.ids import Micros
from ledger.core.offers import Offers
from ledger.kafka.opening import LogIdentity
from processors.broker_clock import BrokerClock
from processors.control.appender import Appended, Appender, Unknown
from processors.control.dead_letters import DeadLetters
from processors.control.edges import Edges
from processors.control.facts import Facts, Progress
from processors.control.partition_actor import PartitionActor
from processors.control.work import Work
from tests.unit.core.test_partition import NOON, World


class MemoryAppender(Appender):
    """Takes what it is given; first refuses as often as it is told."""

    def __init__(self, settings: Settings, first: int) -> None:
        super().__init__(settings)
        self.next, self.refusals = first, 0
        self.records: list[bytes] = []

    async def append(
        self, topic: str, partition: int, record: bytes | None, *, key: bytes | None = None, headers: list[tuple[str, bytes]] | None = None
    ) -> Appended | Unknown:
        if self.refusals:
            self.refusals -= 1
            return Unknown("the test says so")
        self.records.append(record or b"")
        self.next += 1
        return Appended(self.next - 1, NOON // 1000)


class KnownFacts(Facts):
    """The registry as the test has it; it never moves."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        super().__init__(settings, Appender(settings))
        self._known = registry

    @property
    def registry(self) -> Registry:
        return self._known

    async def reach_end(self, progress: Progress) -> None:
        pass


class Meanwhile:
    """Redis, to which nobody listens. `happens`: what does before its next answer."""

    def __init__(self) -> None:
        self.happens: Callable[[], None] | None = None

    def pipeline(self, *, transaction: bool) -> "Meanwhile":
        return self

    def publish(self, channel: str, message: bytes) -> None:
        pass

    async def execute(self) -> None:
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()


class Lone:
    """An actor over the fold of a `World`, with nothing of it connected to anything. It is noon for it."""

    def __init__(self, world: World) -> None:
        settings = Settings(partitions=1)
        self.redis = Meanwhile()
        self.letters = MemoryAppender(settings, 0)
        dead_letters = DeadLetters(settings)
        dead_letters._appender = self.letters
        clock = BrokerClock(lambda: NOON, lambda: 0)
        clock.observe(NOON // 1000)
        self.end: int | None = 0  # of the topic of commands
        redis = cast("Redis", self.redis)
        identity = LogIdentity("log", 1, 1)
        edges = Edges(settings, identity, clock, redis, self._seek, lambda *_: self.end, dead_letters, Appender(settings))
        work = Work(settings)
        work._appender = self.work = MemoryAppender(settings, 0)
        self.actor = PartitionActor(edges, 0, KnownFacts(settings, world.registry), work, Appender(settings))
        for offset, record in enumerate(world.log):
            self.actor.fold.feed(record, offset)
        self.actor.writer.caught_up()
        self.actor.writer.next_offset = world.writer.next_offset
        self.log = self.actor._appender = MemoryAppender(settings, len(world.log))

    async def _seek(self, topic: str, partition: int, offset: int) -> None:
        pass

    def events(self) -> list[wire.Event]:
        return [event for record in self.log.records for event in wire.decode_commit(record).events]

    async def offers(self) -> list[Offers]:
        """What stands in the work topic once all is sent that is on its way."""
        await asyncio.gather(*self.actor.sending.under_way)
        return [wire.decode_offers(record) for record in self.work.records]

    def deliver(self, item: wire.Item, appended: Micros = NOON) -> None:
        assert self.actor.writer.deliver(self.actor.writer.next_offset, appended, [item]) == "taken"
