"""The way into Kafka: replaced after an error, told as away in time, and nothing left behind."""

import asyncio
from typing import TypeAlias

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import RecordMetadata

from ledger.client.sending import Sender
from ledger.core.refusal import Misconfigured, Unavailable
from tests.unit.client.client_fakes import ACKED

Outcome: TypeAlias = BaseException | RecordMetadata | None  # None: no ack ever comes


class FakeProducer:
    """`send` acknowledges, fails or is silent, as the broker of the test says."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self.is_stopped = False

    async def start(self) -> None:
        if self._broker.gate is not None:
            await self._broker.gate.wait()
        if self._broker.is_down:
            raise KafkaConnectionError("refused")

    async def send(self, topic: str, record: bytes, *, partition: int) -> "asyncio.Future[RecordMetadata]":
        if self._broker.raises is not None:
            raise self._broker.raises
        ack: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        outcome = self._broker.outcomes.pop(0) if self._broker.outcomes else ACKED
        if isinstance(outcome, BaseException):
            ack.set_exception(outcome)
        elif outcome is not None:
            ack.set_result(outcome)
        return ack

    async def stop(self) -> None:
        self.is_stopped = True


class Broker:
    def __init__(self, *outcomes: Outcome, is_down: bool = False, raises: BaseException | None = None) -> None:
        self.outcomes = list(outcomes)
        self.is_down = is_down
        self.raises = raises
        self.gate: asyncio.Event | None = None
        self.producers: list[FakeProducer] = []

    def __call__(self, bootstrap: str, patience: float) -> FakeProducer:
        self.producers.append(FakeProducer(self))
        return self.producers[-1]


def sender(broker: Broker, patience: float = 0.4) -> Sender:
    return Sender("broker:9092", patience=patience, new=broker)


async def test_one_producer_for_all() -> None:
    broker = Broker()
    to_kafka = sender(broker)
    await asyncio.gather(*(to_kafka.send("t", 0, b"x") for _ in range(20)))
    await to_kafka.close()
    assert [one.is_stopped for one in broker.producers] == [True]


async def test_after_a_produce_error_a_new_producer_sends_it_again() -> None:
    broker = Broker(KafkaError("refused"), ACKED)
    to_kafka = sender(broker)
    await to_kafka.send("t", 0, b"x")
    assert [one.is_stopped for one in broker.producers] == [True, False]


@pytest.mark.parametrize(
    "broker", [Broker(is_down=True), Broker(raises=KafkaError("x")), Broker(None, None, None)], ids=["start", "send", "ack"]
)
async def test_a_broker_that_is_away_is_told_in_time(broker: Broker) -> None:
    async with asyncio.timeout(3):
        with pytest.raises(Unavailable, match="broker:9092"):
            await sender(broker).send("t", 0, b"x")


async def test_a_broker_that_comes_back_in_time_is_not_told() -> None:
    broker = Broker(is_down=True)
    to_kafka = sender(broker, patience=5)
    sending = asyncio.create_task(to_kafka.send("t", 0, b"x"))
    while len(broker.producers) < 3:  # noqa: ASYNC110  # the fake has no signal
        await asyncio.sleep(0.01)
    broker.is_down = False
    await sending


@pytest.mark.parametrize(("error", "words"), [(UnknownTopicOrPartitionError(), "topics apply"), (AssertionError(), "no partition 7")])
async def test_what_the_operator_has_to_change(error: BaseException, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        await sender(Broker(raises=error)).send("t", 7, b"x")


async def test_a_start_that_takes_too_long_is_not_cut_short_but_ended_afterwards() -> None:
    broker = Broker()
    broker.gate = asyncio.Event()
    to_kafka = sender(broker, patience=0.1)
    with pytest.raises(Unavailable):
        await to_kafka.send("t", 0, b"x")
    assert not broker.producers[0].is_stopped
    broker.gate.set()
    await to_kafka.close()
    assert broker.producers[0].is_stopped


async def test_what_wants_to_send_once_it_is_closed_is_told_so_and_does_not_wait() -> None:
    to_kafka = sender(Broker())
    await to_kafka.send("t", 0, b"x")
    await to_kafka.close()
    with pytest.raises(Unavailable):
        await to_kafka.send("t", 0, b"x")
