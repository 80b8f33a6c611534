"""Reports reach the log however the producer fares."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, OutOfOrderSequenceNumber

from ledger.config import Settings
from processors.broker_clock import BrokerClock
from processors.runner.sender import KafkaSender

Answer = Callable[["asyncio.Future[SimpleNamespace]"], None]


def acknowledged(future: "asyncio.Future[SimpleNamespace]") -> None:
    future.set_result(SimpleNamespace(timestamp=1_700_000_000_000))


def refused(future: "asyncio.Future[SimpleNamespace]") -> None:
    future.set_exception(OutOfOrderSequenceNumber())


def cancelled(future: "asyncio.Future[SimpleNamespace]") -> None:
    future.cancel()


def unanswered(future: "asyncio.Future[SimpleNamespace]") -> None:
    """Nothing comes back."""


@dataclass
class FakeBroker:
    """Answers the sends in this order; what comes after the last is acknowledged. `starts` fail so many times."""

    answers: list[Answer] = field(default_factory=list)
    failing_starts: int = 0
    producers: "list[FakeProducer]" = field(default_factory=list)
    sent: list[tuple[int, bytes]] = field(default_factory=list)

    def producer(self, bootstrap: str) -> "FakeProducer":
        self.producers.append(FakeProducer(self))
        return self.producers[-1]

    def sender(self) -> tuple[KafkaSender, BrokerClock]:
        clock = BrokerClock()
        return KafkaSender(Settings(), clock, deadline=0.02, producers=self.producer), clock


@dataclass
class FakeProducer:
    broker: FakeBroker
    stopped: bool = False

    async def start(self) -> None:
        if self.broker.failing_starts:
            self.broker.failing_starts -= 1
            raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        self.stopped = True

    async def send(self, topic: str, record: bytes, partition: int) -> "asyncio.Future[SimpleNamespace]":
        self.broker.sent.append((partition, record))
        future = asyncio.get_running_loop().create_future()
        (self.broker.answers.pop(0) if self.broker.answers else acknowledged)(future)
        return future


async def test_an_ack_ends_it_and_tells_the_brokers_time() -> None:
    broker = FakeBroker()
    sender, clock = broker.sender()
    await sender.send(1, b"[]")
    now = clock.now()
    assert now is not None
    assert now - 1_700_000_000_000_000 < 1_000_000
    assert broker.sent == [(1, b"[]")]


async def test_what_is_not_acknowledged_in_time_is_sent_again_by_the_same_producer() -> None:
    broker = FakeBroker([unanswered, unanswered])
    await broker.sender()[0].send(1, b"[1]")
    assert broker.sent == [(1, b"[1]")] * 3
    assert len(broker.producers) == 1


async def test_after_a_refusal_a_new_producer_sends_the_same() -> None:
    broker = FakeBroker([refused])
    await broker.sender()[0].send(0, b"[1]")
    assert broker.sent == [(0, b"[1]")] * 2
    assert [producer.stopped for producer in broker.producers] == [True, False]


async def test_what_a_replaced_producer_let_fall_is_sent_again() -> None:
    broker = FakeBroker([cancelled])
    await broker.sender()[0].send(0, b"[1]")
    assert broker.sent == [(0, b"[1]")] * 2


async def test_a_broker_that_is_away_is_waited_for() -> None:
    broker = FakeBroker(failing_starts=2)
    await broker.sender()[0].send(0, b"[1]")
    assert broker.sent == [(0, b"[1]")]
    assert [producer.stopped for producer in broker.producers] == [True, True, False]


async def test_several_partitions_share_one_producer() -> None:
    broker = FakeBroker()
    sender, _ = broker.sender()
    await asyncio.gather(*(sender.send(partition, b"[]") for partition in range(4)))
    assert len(broker.producers) == 1
    await sender.stop()
    assert broker.producers[0].stopped


async def test_a_record_that_is_refused_for_itself_is_a_refusal_like_another() -> None:
    async def too_large(topic: str, record: bytes, partition: int) -> "asyncio.Future[SimpleNamespace]":
        raise MessageSizeTooLargeError("too large")

    broker = FakeBroker()
    sender, _ = broker.sender()
    await sender.send(0, b"[]")
    broker.producers[0].send = too_large  # type: ignore[method-assign]  # a refusal before anything is sent
    await sender.send(0, b"[1]")
    assert broker.sent == [(0, b"[]"), (0, b"[1]")]
