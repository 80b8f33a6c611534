"""Where delivery goes on: never before the pause is over, never while the inbox is full."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from redis.asyncio import Redis

from ledger.config import Settings
from ledger.core.refusal import Conflict
from ledger.kafka.opening import LogIdentity
from processors.broker_clock import BrokerClock
from processors.control import log_access
from processors.control.appender import Appender
from processors.control.dead_letters import DeadLetters
from processors.control.edges import Edges
from processors.control.pacing import COMMANDS_A_PACE, MOST_PACES, UNDER_LOAD, Pacing
from processors.control.seeking import HALF_FULL, Seeking


@dataclass
class Place:
    next_offset: int = 7

    def step_over(self, offset: int) -> None:
        self.next_offset = max(self.next_offset, offset)


@dataclass
class Sought:
    places: list[tuple[str, int, int]] = field(default_factory=list)

    async def seek(self, topic: str, partition: int, offset: int) -> None:
        self.places.append((topic, partition, offset))


def seeking(sought: Sought) -> Seeking:
    settings = Settings(partitions=1)
    edges = Edges(
        settings, LogIdentity("log", 1, 1), BrokerClock(), Redis(), sought.seek, lambda *_: None, DeadLetters(settings), Appender(settings)
    )
    return Seeking(edges, "commands", 0, Place())


async def test_what_nobody_wants_is_not_sought() -> None:
    sought = Sought()
    one = seeking(sought)
    assert one.due_in() is None
    await one.seek_if_due(3, 0)
    assert sought.places == []


async def test_a_full_inbox_has_to_empty_first() -> None:
    sought = Sought()
    one = seeking(sought)
    one.want()
    await one.seek_if_due(3, HALF_FULL + 1)
    assert sought.places == []
    due = one.due_in()
    assert due is not None and due <= 0


def test_the_fuller_the_commits_the_further_apart() -> None:
    pacing = Pacing(0.01)
    assert pacing.of(UNDER_LOAD) == 0
    assert pacing.of(UNDER_LOAD + 1) == 0.01
    assert pacing.of(COMMANDS_A_PACE) == 0.02
    assert pacing.of(1000 * COMMANDS_A_PACE) == MOST_PACES * 0.01


def test_an_idle_actor_rests_not_at_all() -> None:
    pacing = Pacing(10.0)
    assert pacing.rest() <= 0
    pacing.took(1)
    assert pacing.rest() <= 0
    pacing.took(UNDER_LOAD + 1)
    assert 9 < pacing.rest() <= 10


@pytest.mark.parametrize(("start", "end", "why"), [(0, 2, "made anew"), (9, 12, "retention took")])
async def test_of_commands_that_are_gone_it_is_said_how_to_go_on(start: int, end: int, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def bounds(settings: Settings, places: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        return dict.fromkeys(places, (start, end))

    monkeypatch.setattr(log_access, "bounds", bounds)
    one = seeking(Sought())
    one.want()
    with pytest.raises(Conflict, match=f"{why}.*`jobledger ledger export FILE`"):
        await one.seek_if_due(3, 0)
