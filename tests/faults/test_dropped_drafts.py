"""A draft that is not appended: what was due by itself and stood in it has to come again. The actor of control alone, no servers."""

import pytest
from redis.asyncio import Redis

from ledger.config import Settings
from ledger.core import request, wire
from ledger.core.definition import Registry
from ledger.core.execution import Due, Requested
from ledger.core.ids import Position
from ledger.core.outcome import Rejected
from ledger.core.tick import Adopted
from ledger.kafka.opening import LogIdentity
from processors.broker_clock import BrokerClock
from processors.control.appender import Appended, Appender, Unknown
from processors.control.dead_letters import DeadLetters
from processors.control.edges import Edges
from processors.control.facts import Facts, Progress
from processors.control.partition_actor import PartitionActor
from processors.control.work import Work
from tests.unit.core.test_partition import NOON, SECOND, World, submit


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


class Lone:
    """An actor over the fold of a `World`, with nothing of it connected to anything. It is noon for it."""

    def __init__(self, world: World) -> None:
        settings = Settings(partitions=1)
        self.letters = MemoryAppender(settings, 0)
        dead_letters = DeadLetters(settings)
        dead_letters._appender = self.letters
        clock = BrokerClock(lambda: NOON, lambda: 0)
        clock.observe(NOON // 1000)
        edges = Edges(settings, LogIdentity("log", 1, 1), clock, Redis(), self._seek, dead_letters, Appender(settings))
        self.actor = PartitionActor(edges, 0, KnownFacts(settings, world.registry), Work(settings), Appender(settings))
        for offset, record in enumerate(world.log):
            self.actor.fold.feed(record, offset)
        self.actor.writer.caught_up()
        self.actor.writer.next_offset = world.writer.next_offset
        self.log = self.actor._appender = MemoryAppender(settings, len(world.log))

    async def _seek(self, topic: str, partition: int, offset: int) -> None:
        pass

    def events(self) -> list[wire.Event]:
        return [event for record in self.log.records for event in wire.decode_commit(record).events]

    def deliver(self, item: wire.Item) -> None:
        assert self.actor.writer.deliver(self.actor.writer.next_offset, NOON, [item]) == "taken"


def delayed() -> tuple[World, Requested]:
    world = World()
    (requested,) = world.when(submit(delay_ms=1000), at=NOON - 2 * SECOND)
    assert isinstance(requested, Requested)
    return world, requested


async def test_a_timer_survives_a_command_that_needs_the_registry_s_present_end() -> None:
    world, requested = delayed()
    lone = Lone(world)
    lone.deliver(request.Submit("ab" * 16, "nobody-declared-me"))
    await lone.actor._work()
    await lone.actor._work()
    assert Due(requested.execution_id) in lone.events()
    assert [event.reason for event in lone.events() if isinstance(event, Rejected)] == ["unknown_job"]


async def test_a_schedule_is_taken_over_despite_a_command_that_needs_the_registry_s_present_end() -> None:
    lone = Lone(World())
    lone.actor.schedules.begin()
    lone.deliver(request.Submit("ab" * 16, "nobody-declared-me"))
    await lone.actor._work()
    await lone.actor._work()
    assert [event.job_id for event in lone.events() if isinstance(event, Adopted)] == ["carts"]


async def test_a_timer_survives_a_dead_letter_that_could_not_be_written() -> None:
    world, requested = delayed()
    lone = Lone(world)
    lone.letters.refusals = 1
    lone.deliver(wire.decode_commands(b"garbage")[0])
    await lone.actor._work()
    assert lone.events() == []
    await lone.actor._work()
    assert Due(requested.execution_id) in lone.events()
    assert lone.actor.fold.head.position == Position(1, 0)


@pytest.mark.parametrize("again", [1, 3])
async def test_a_timer_is_due_once(again: int) -> None:
    world, requested = delayed()
    lone = Lone(world)
    for _ in range(again):
        await lone.actor._work()
    assert lone.events() == [Due(requested.execution_id)]
