"""What control relays to this worker: begun under its lock alone, said to be known, handed back, or left as old news."""

import asyncio
import time

import pytest
from msgspec import structs

from ledger.config.settings import Limits
from ledger.core.ids import Micros
from ledger.core.offers import Offer
from ledger.core.orders import Order
from tests.unit.runner.runner_fakes import World, offer, record_of, said

KEY, LOCK = "key:sync:7", "jobledger:lock:key:sync:7"


def relayed(one: Offer, age: float = 0.0) -> Order:
    return Order(one.execution_id, "next", one.token, offer=one, at=Micros(time.time_ns() // 1000 - round(age * 1e6)))


async def test_a_worker_with_room_says_with_an_exclusive_end_that_it_would_go_on(world: World, ran: list[int]) -> None:
    world.begin().take(record_of(offer(2, data=2, key=KEY), offer(4, data=4)))
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert [report.takes_next for report in said(world, 2)] == [False, True]
    assert [report.takes_next for report in said(world, 4)] == [False]


@pytest.mark.parametrize("because", ["others wait here", "its job has a limit", "it has to go"])
async def test_a_worker_without_room_does_not(world: World, because: str) -> None:
    go, others = asyncio.Event(), because == "others wait here"
    world.limits = Limits(slots=1 if others else 10, shutdown_grace=5.0)

    async def sync() -> None:
        await go.wait()

    world.jobs.job("sync", concurrency=2 if because == "its job has a limit" else None)(sync)
    one, runner = offer(2, key=KEY), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: bool(said(world, 2)))
    await asyncio.sleep(0)
    if others:
        runner.take(record_of(offer(4), offer(6)))
    draining = asyncio.create_task(runner.drain()) if because == "it has to go" else None
    await asyncio.sleep(0)
    go.set()
    await world.sender.until(lambda: bool(said(world, 2)[-1].outcome))
    assert not said(world, 2)[-1].takes_next
    if draining is not None:
        await draining


async def test_what_is_relayed_begins_under_its_lock_without_a_claim_and_without_asking(world: World, ran: list[int]) -> None:
    runner = world.begin()
    runner.obey(relayed(offer(2, data=2, key=KEY)))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    await world.locks.until(lambda: world.locks.there == {})
    assert ran == [2] and [report.outcome for report in said(world, 2)] == ["completed"]
    assert world.locks.batches == [[LOCK]]
    assert said(world, 2)[0].takes_next
    runner.obey(relayed(offer(2, data=2, key=KEY)))  # told twice
    runner.take(record_of(offer(2, data=2, key=KEY)))
    runner.obey(relayed(offer(4, data=4, key=KEY)))
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert ran == [2, 4]


async def test_what_runs_for_a_while_is_said_to_be_known_and_so_is_what_is_told_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.runner.starting.KNOWN", 0.02)
    go = asyncio.Event()

    async def sync() -> None:
        await go.wait()

    world.jobs.job("sync")(sync)
    runner, one = world.begin(), offer(2, key=KEY)
    runner.obey(relayed(one))
    await world.sender.until(lambda: len(said(world, 2)) == 1)
    runner.obey(relayed(one))
    await world.sender.until(lambda: len(said(world, 2)) == 2)
    assert {(report.outcome, report.answer) for report in said(world, 2)} == {(None, "jobledger:orders:worker-1")}
    go.set()
    await world.sender.until(lambda: bool(world.sender.ends))


@pytest.mark.parametrize("why", ["sent before its lease lapsed", "its lease is lapsed"])
async def test_news_from_before_a_standstill_is_left_for_control_says_it_again(world: World, ran: list[int], why: str) -> None:
    world.liveness.held = why != "its lease is lapsed"
    runner = world.begin()
    runner.obey(relayed(offer(2, data=2, key=KEY), age=2000))
    world.liveness.held = True
    runner.obey(relayed(offer(4, data=4, key="key:sync:8")))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert ran == [4] and said(world, 2) == []


@pytest.mark.parametrize("because", ["no handler", "a newer version", "it has to go"])
async def test_what_it_cannot_run_is_handed_back_uncounted(world: World, ran: list[int], because: str) -> None:
    one, runner = (
        offer(2, "unknown" if because == "no handler" else "sync", version=9 if because == "a newer version" else 1, key=KEY),
        world.begin(),
    )
    if because == "it has to go":
        assert await runner.drain()
    runner.obey(relayed(one))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert [(report.outcome, report.run_ms) for report in said(world, 2)] == [("handed_back", 0)] and ran == []


async def test_a_lock_that_is_not_to_be_had_hands_it_back(world: World, ran: list[int]) -> None:
    world.limits = Limits(slots=1, lease=0.3, shutdown_grace=0.05)
    world.locks.there[LOCK] = "1 somebody"
    runner = world.begin()
    runner.obey(relayed(offer(2, data=2, key=KEY)))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert [report.outcome for report in said(world, 2)] == ["handed_back"] and runner.held_claims() == []
    assert world.sender.returned == {} and world.locks.there == {LOCK: "1 somebody"}
    runner.take(record_of(offer(4, data=4)))  # nothing of it keeps the slot
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert ran == [4]


@pytest.mark.parametrize("why", ["fenced", "cancelled"])
async def test_what_control_takes_back_before_it_began_never_begins(world: World, ran: list[int], why: str) -> None:
    world.locks.there[LOCK] = "1 somebody"
    one, runner = offer(2, data=2, key=KEY), world.begin()
    runner.obey(relayed(one))
    runner.obey(Order(one.execution_id, why, one.token))  # type: ignore[arg-type]  # one of them
    del world.locks.there[LOCK]
    runner.obey(relayed(offer(4, data=4, key=KEY)))
    await world.sender.until(lambda: bool([report for report in world.sender.ends if report.outcome == "completed"]))
    assert ran == [4] and [report.outcome for report in said(world, 2)] == ([] if why == "fenced" else ["handed_back"])


async def test_at_the_end_it_waits_a_moment_for_what_it_asked_for(world: World, ran: list[int]) -> None:
    runner = world.begin()
    runner.take(record_of(offer(2, data=2, key=KEY)))
    await world.sender.until(lambda: bool(world.sender.ends))
    draining = asyncio.create_task(runner.drain())
    await asyncio.sleep(0)
    runner.obey(relayed(structs.replace(offer(4, data=4, key=KEY))))
    assert await draining
    assert [report.outcome for report in said(world, 4)] == ["handed_back"] and ran == [2]


async def test_a_worker_that_stood_still_before_it_had_the_lock_does_not_begin(world: World, ran: list[int]) -> None:
    """Another may have run it meanwhile, and have let go of the lock."""
    world.locks.there[LOCK] = "1 somebody"
    runner = world.begin()
    runner.obey(relayed(offer(2, data=2, key=KEY)))
    await world.locks.until(lambda: bool(world.locks.batches))
    world.liveness.held = False  # the lease lapsed
    del world.locks.there[LOCK]
    await world.sender.until(lambda: bool(world.sender.ends))
    assert [report.outcome for report in said(world, 2)] == ["handed_back"] and ran == []
    await world.locks.until(lambda: world.locks.there == {})
