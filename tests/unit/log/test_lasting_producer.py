"""A producer that lasts: one for all, replaced when it was refused something, and nothing left behind."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import KafkaConnectionError

from ledger.kafka import lasting_producer
from ledger.kafka.lasting_producer import LastingProducer

Step = Callable[[], Awaitable[None]]


async def at_once() -> None:
    pass


async def never() -> None:
    await asyncio.Event().wait()


async def refused() -> None:
    raise KafkaConnectionError("nobody there")


@dataclass
class FakeSending:
    how_it_closes: Step = at_once
    closed: bool = False

    async def close(self) -> None:
        await self.how_it_closes()
        self.closed = True


@dataclass
class FakeProducer:
    how_it_starts: Step = at_once
    how_it_stops: Step = at_once
    stopped: bool = False
    starts: int = 0
    _sender: FakeSending = field(default_factory=FakeSending)
    client: FakeSending = field(default_factory=FakeSending)

    async def start(self) -> None:
        self.starts += 1
        await self.how_it_starts()

    async def stop(self) -> None:
        self.stopped = True
        await self.how_it_stops()


def lasting(*producers: FakeProducer, longest_start: float = 10.0) -> LastingProducer:
    """It gets these, one after the other."""
    coming = iter(producers)
    return LastingProducer(lambda: next(coming), closing=0.05, longest_start=longest_start)


async def test_all_wait_for_the_same_start() -> None:
    one = FakeProducer()
    own = lasting(one)
    assert await asyncio.gather(*(own.started(1) for _ in range(20))) == [one] * 20
    assert one.starts == 1
    assert own.current is one


async def test_a_start_that_fails_is_told_to_all_and_leaves_nothing() -> None:
    bad, good = FakeProducer(refused), FakeProducer()
    own = lasting(bad, good)
    told = await asyncio.gather(own.started(1), own.started(1), return_exceptions=True)
    assert [type(error) for error in told] == [KafkaConnectionError] * 2
    assert bad.stopped
    assert await own.started(1) is good


async def test_a_start_is_not_cut_short_by_one_who_does_not_wait_for_it() -> None:
    gate = asyncio.Event()

    async def slowly() -> None:
        await gate.wait()

    slow = FakeProducer(slowly)
    own = lasting(slow)
    with pytest.raises(TimeoutError):
        await own.started(0.01)
    impatient = asyncio.create_task(own.started(10))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    assert await own.started(1) is slow
    assert not slow.stopped


async def test_beside_a_stuck_start_another_is_begun() -> None:
    gate = asyncio.Event()

    async def late() -> None:
        await gate.wait()

    stuck, good = FakeProducer(late), FakeProducer()
    own = lasting(stuck, good, longest_start=0.0)
    with pytest.raises(TimeoutError):
        await own.started(0.01)
    assert await own.started(1) is good
    gate.set()
    await own.close()
    assert stuck.stopped
    assert good.stopped


async def test_what_was_refused_something_is_replaced_once() -> None:
    first, second = FakeProducer(), FakeProducer()
    own = lasting(first, second)
    broken = await own.started(1)
    await asyncio.gather(own.replace(broken), own.replace(broken), own.replace(None))
    assert first.stopped
    assert await own.started(1) is second
    await own.replace(broken)
    assert own.current is second


async def test_what_does_not_stop_is_cut() -> None:
    deaf = FakeProducer(how_it_stops=never)
    own = lasting(deaf)
    await own.started(1)
    await own.close()
    assert deaf._sender.closed
    assert deaf.client.closed


async def test_the_connections_are_cut_also_where_the_task_that_sends_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting_producer, "CUTTING", 0.01)
    deaf = FakeProducer(how_it_stops=never, _sender=FakeSending(never))
    own = lasting(deaf)
    await own.started(1)
    await own.close()
    assert deaf.client.closed


async def test_a_stop_is_not_cut_short_by_one_who_does_not_wait_for_it() -> None:
    stopping = asyncio.Event()

    async def deafly() -> None:
        stopping.set()
        await never()

    deaf = FakeProducer(how_it_stops=deafly)
    own = lasting(deaf)
    impatient = asyncio.create_task(own.replace(await own.started(1)))
    await stopping.wait()
    impatient.cancel()
    await own.close()
    assert deaf._sender.closed
    assert deaf.client.closed
    assert impatient.cancelled()


async def test_a_start_that_never_ends_does_not_outlive_it() -> None:
    stuck = FakeProducer(never)
    own = lasting(stuck)
    waiting = asyncio.create_task(own.started(10))
    await asyncio.sleep(0)
    await own.close(0.01)
    assert stuck.stopped
    with pytest.raises(Exception, match="ProducerClosed"):
        await waiting
