"""Offers that Redis tells a moment before Kafka brings them: taken up where there is room at once, else as if nothing had been said."""

import asyncio
import time

import pytest

from ledger.config.settings import Limits
from ledger.core.ids import Micros
from ledger.core.offers import Hint, Offer, Offers
from tests.unit.runner.runner_fakes import World, offer, record_of


def hint(*offers: Offer, age: float = 0.0) -> Hint:
    at = Micros(time.time_ns() // 1000 - round(age * 1e6))
    return Hint(at, Offers(int(offers[0].execution_id[-1]), offers))


async def test_what_is_hinted_at_is_claimed_and_run_once_whichever_way_comes_first(world: World, ran: list[int]) -> None:
    runner = world.begin()
    runner.hear(hint(offer(2, data=2)))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    runner.take(record_of(offer(2, data=2)))  # as Kafka brings it
    runner.take(record_of(offer(4, data=4)))
    runner.hear(hint(offer(4, data=4)))
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert ran == [2, 4] and [len(batch) for batch in world.claims.batches] == [1, 1]


async def test_what_another_worker_claimed_first_is_left_to_it(world: World, ran: list[int]) -> None:
    world.claims.others.add(f"jobledger:claim:{offer(2).execution_id}:{offer(2).token}")
    runner = world.begin()
    runner.hear(hint(offer(2, data=2)))
    runner.take(record_of(offer(2, data=2), offer(4, data=4)))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert ran == [4] and world.sender.returned == {}


@pytest.mark.parametrize("why", ["its slots are taken", "its lease has lapsed", "it has no handler", "it has to go", "the hint is old"])
async def test_what_there_is_no_room_for_is_left_to_kafka_without_a_word(world: World, why: str) -> None:
    go, begun = asyncio.Event(), list[int]()

    async def sync(data: int) -> None:
        begun.append(data)
        await go.wait()

    world.jobs.job("sync")(sync)
    world.limits = Limits(slots=1, shutdown_grace=5.0, lease=1.0)
    runner = world.begin()
    if why == "its slots are taken":
        runner.take(record_of(offer(4, data=4)))
        await world.sender.until(lambda: bool(world.sender.reports))
    world.liveness.held = why != "its lease has lapsed"
    draining = asyncio.create_task(runner.drain()) if why == "it has to go" else None
    await asyncio.sleep(0)
    runner.hear(hint(offer(2, "unknown" if why == "it has no handler" else "sync", data=2), age=60 if why == "the hint is old" else 0))
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    if draining is not None:
        await draining
    assert 2 not in begun and world.sender.returned == {}
    assert not any(offer(2).execution_id in claim for batch in world.claims.batches for claim in batch)
