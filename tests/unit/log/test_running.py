"""A client of Kafka for the time of a block: whoever waits no longer, when it may be, nothing of it is left behind."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from ledger.kafka import connect
from ledger.kafka.connect import running


@dataclass
class FakeConsumer:
    """`start` and `stop` end when the test says so."""

    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    may_stop: asyncio.Event = field(default_factory=asyncio.Event)
    starting: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    was_started: bool = False
    error: Exception | None = None

    async def start(self) -> None:
        self.starting.set()
        await self.may_start.wait()
        if self.error is not None:
            raise self.error
        self.was_started = True

    async def stop(self) -> None:
        self.stopping.set()
        await self.may_stop.wait()
        self.stopped.set()


async def use(consumer: Any, used: asyncio.Event) -> None:  # Any: it stands for aiokafka's
    async with running(consumer):
        used.set()


async def cancelled(task: asyncio.Task[None]) -> bool:
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    return task.cancelled()


async def test_it_runs_within_the_block() -> None:
    consumer, used = FakeConsumer(), asyncio.Event()
    consumer.may_start.set()
    consumer.may_stop.set()
    await use(consumer, used)
    assert used.is_set()
    assert consumer.stopped.is_set()


async def test_one_that_does_not_start_is_stopped_all_the_same() -> None:
    consumer = FakeConsumer(error=KafkaConnectionError("nobody there"))
    consumer.may_start.set()
    consumer.may_stop.set()
    with pytest.raises(KafkaConnectionError):
        await use(consumer, asyncio.Event())
    assert consumer.stopped.is_set()


async def test_who_is_cancelled_while_it_starts_lets_it_start_and_stops_it() -> None:
    consumer = FakeConsumer()
    consumer.may_stop.set()
    using = asyncio.create_task(use(consumer, asyncio.Event()))
    await consumer.starting.wait()
    using.cancel()
    asyncio.get_running_loop().call_soon(consumer.may_start.set)
    assert await cancelled(using)
    assert consumer.was_started
    assert consumer.stopped.is_set()


async def test_a_start_that_takes_long_is_not_waited_for_and_stopped_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "ENDING", 0.01)
    consumer = FakeConsumer()
    consumer.may_stop.set()
    using = asyncio.create_task(use(consumer, asyncio.Event()))
    await consumer.starting.wait()
    using.cancel()
    assert await cancelled(using)
    consumer.may_start.set()
    async with asyncio.timeout(5):
        await consumer.stopped.wait()


async def test_who_is_cancelled_while_it_stops_is_cancelled_and_it_is_stopped() -> None:
    consumer = FakeConsumer()
    consumer.may_start.set()
    using = asyncio.create_task(use(consumer, asyncio.Event()))
    await consumer.stopping.wait()
    using.cancel()
    assert await cancelled(using)
    consumer.may_stop.set()
    async with asyncio.timeout(5):
        await consumer.stopped.wait()
