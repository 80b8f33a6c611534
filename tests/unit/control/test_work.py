"""How far the runners of a queue have taken its offers: where their group stands, or where retention has taken them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import OffsetAndMetadata

from ledger.config import Settings
from ledger.config.settings import Queue
from processors.control.dispatch import QUIET
from processors.control.work import Work
from tests.unit.control.test_rules import waiting

DEFAULT = TopicPartition("jobledger.work.default.v1", 0)


@dataclass
class Broker:
    """What a broker answers to both clients, and what it was asked for."""

    committed: dict[TopicPartition, int] = field(default_factory=dict)
    starts: dict[TopicPartition, int] | None = None
    asked: list[str] = field(default_factory=list)

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
        self.asked.append("group")
        return {place: OffsetAndMetadata(offset, "") for place, offset in self.committed.items()}

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked.append("starts")
        if self.starts is None:
            raise KafkaConnectionError
        return {place: self.starts.get(place, 0) for place in places}

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if self.starts is None:
            raise KafkaConnectionError
        return dict.fromkeys(places, 9)

    async def close(self) -> None:
        pass

    stop = close


def work(broker: Broker, **queues: int) -> Work:
    work = Work(Settings(partitions=1, queues={name: Queue(partitions=count) for name, count in {"default": 1, **queues}.items()}))
    work._admin = work._reader = broker
    return work


async def test_what_retention_took_is_passed_wherever_the_group_stands() -> None:
    for committed, start, passed in ((100, 0, 100), (100, 200, 200), (300, 200, 300), (-1, 200, 200)):
        broker = Broker({DEFAULT: committed}, {DEFAULT: start})
        assert await work(broker).passed({"default"}) == {"default": {0: passed}}
    assert await work(Broker({}, {DEFAULT: 200})).passed({"default"}) == {"default": {0: 200}}, "the group never committed"


async def test_the_log_starts_of_all_queues_are_asked_for_at_once() -> None:
    broker = Broker({DEFAULT: 1}, {DEFAULT: 2, TopicPartition("jobledger.work.mail.v1", 1): 3})
    assert await work(broker, mail=2).passed({"default", "mail", "unknown"}) == {"default": {0: 2}, "mail": {0: 0, 1: 3}}
    assert sorted(broker.asked) == ["group", "group", "starts"]
    assert await work(broker).passed(set()) == {} and len(broker.asked) == 3


async def test_where_the_log_starts_are_not_known_the_group_s_place_counts() -> None:
    assert await work(Broker({DEFAULT: 7})).passed({"default"}) == {"default": {0: 7}}


async def test_the_ends_are_those_that_are_known() -> None:
    assert await work(Broker(starts={}), mail=2).known_ends({"mail", "unknown"}) == {"mail": {0: 9, 1: 9}}
    assert await work(Broker()).known_ends({"default"}) == {"default": {}}
    assert await work(Broker(starts={})).known_ends(set()) == {}


async def test_offers_that_retention_took_are_made_again() -> None:
    """The runners were away for longer than the work topic keeps."""
    passed = await work(Broker({DEFAULT: 100}, {DEFAULT: 200})).passed({"default"})
    _, dispatch = waiting(3, window=2)
    offered = dispatch.take(0.0)["default"]
    dispatch.placed(offered, 0, 150)
    assert dispatch.heal(passed, 1.0) == {}
    assert dispatch.heal(passed, 1.0 + QUIET) == {"default": offered}
