"""Limits over all workers in a runner: what they refuse waits without a slot, is tried when a place is free, and goes back in time."""

import asyncio

import pytest

from ledger.config.settings import Limits
from ledger.core.limits import Limit, Rate
from tests.unit.runner.runner_fakes import World, offer, record_of
from tests.unit.runner.test_pipeline import ran

PLACES = "jobledger:places:"


class Slow:
    """A handler whose runs end when they are let."""

    def __init__(self, world: World, name: str = "sync", **options: object) -> None:
        self.running: dict[object, asyncio.Event] = {}
        self.most = 0
        self.began = asyncio.Event()

        async def run(data: object) -> None:
            self.running[data] = asyncio.Event()
            self.most = max(self.most, len(self.running))
            self.began.set()
            try:
                await self.running[data].wait()
            finally:
                del self.running[data]

        world.jobs.job(name, **options)(run)  # type: ignore[arg-type]  # options by name

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.running) != count:
                self.began.clear()
                await asyncio.wait([asyncio.create_task(self.began.wait())], timeout=0.01)

    def end(self, *which: object) -> None:
        for one in which or list(self.running):
            self.running[one].set()


@pytest.mark.parametrize(
    ("bounds", "options", "key"),
    [
        ({"queues": {"default": {"concurrency": 2}}}, {}, "queue:default"),
        ({}, {"concurrency": 2}, "job:sync"),
        ({"tenants": {"*": {"concurrency": 2}}}, {}, "tenant:acme"),
    ],
    ids=["queue", "job", "tenant"],
)
async def test_so_many_run_at_once_and_the_next_starts_when_one_has_ended(
    world: World, bounds: dict[str, object], options: dict[str, object], key: str
) -> None:
    world.bounds = bounds
    slow = Slow(world, **options)
    runner = world.begin()
    runner.take(record_of(*(offer(nth, data=nth, tenant="acme") for nth in range(0, 10, 2))))
    await slow.until(2)
    assert len(world.claims.places[PLACES + key]) == 2
    for nth in range(0, 10, 2):
        await slow.until(min(2, (10 - nth) // 2))
        assert nth in slow.running, "they start in their order"
        slow.end(nth)
        await ran(world, nth)
    await asyncio.sleep(0)
    assert slow.most == 2 and world.sender.returned == {}
    assert world.claims.places[PLACES + key] == set()


async def test_places_that_other_workers_hold_count_and_who_waits_too_long_goes_back(world: World) -> None:
    world.bounds = {"queues": {"default": {"concurrency": 1}}}
    world.claims.places[f"{PLACES}queue:default"] = {"of another"}
    slow = Slow(world)
    world.begin().take(record_of(offer(0), offer(2)))
    await world.sender.until(lambda: len(world.sender.returned.get("limited", ())) == 2)
    (back,) = (item for _, items in world.sender.records for item in items if getattr(item, "reason", None) == "limited")
    assert (back.limit, back.wait_ms) == ("queue:default", 0)  # type: ignore[union-attr]
    assert slow.running == {} and len(world.claims.batches) <= 20, "asked ever more rarely"


async def test_what_no_limit_bounds_passes_by(world: World) -> None:
    slow = Slow(world, concurrency=1)
    world.jobs.job("free")(lambda: None)
    world.limits = Limits(slots=4, lease=1.0)
    runner = world.begin()
    runner.take(record_of(*(offer(nth, data=nth) for nth in range(0, 20, 2)), *(offer(nth, "free") for nth in range(20, 40, 2))))
    await ran(world, *range(20, 40, 2))
    assert len(slow.running) == 1
    slow.end()


async def test_a_rate_tells_when_the_next_may_start_and_a_long_wait_is_told_to_control(world: World) -> None:
    slow = Slow(world, rate="1/m")
    world.claims.waits["job:sync"] = 30.0
    world.begin().take(record_of(offer(0)))
    await world.sender.until(lambda: "limited" in world.sender.returned)
    (back,) = (item for _, items in world.sender.records for item in items if getattr(item, "reason", None) == "limited")
    assert 28_000 < back.wait_ms < 30_000  # type: ignore[union-attr]
    assert slow.running == {} and len(world.claims.batches) == 1, "nobody asks before that"


async def test_places_are_renewed_with_the_lease_and_free_when_the_code_has_ended(world: World) -> None:
    world.limits = Limits(slots=4, lease=0.3)
    slow = Slow(world, concurrency=3)
    runner = world.begin()
    runner.take(record_of(offer(0, data=0)))
    await slow.until(1)
    assert runner.renew_locks() and world.holders.renewed == [], "too young"
    async with asyncio.timeout(5):
        while not world.holders.renewed:
            assert runner.renew_locks()
            await asyncio.sleep(0.01)  # until it is a sixth of a lease old
    assert world.holders.renewed[0] == (f"{PLACES}job:sync", f"{offer(0).execution_id}:{offer(0).token}")
    slow.end()
    await ran(world, 0)
    await asyncio.sleep(0)
    assert world.claims.places[f"{PLACES}job:sync"] == set()


async def test_nothing_that_a_limit_refused_starts_while_it_drains(world: World) -> None:
    world.bounds = {"queues": {"default": {"concurrency": 1}}}
    slow = Slow(world)
    runner = world.begin()
    runner.take(record_of(offer(0, data=0), offer(2, data=2)))
    await slow.until(1)
    await runner.drain()
    assert slow.most == 1
    assert world.sender.returned["draining"] == [offer(2).execution_id]


async def test_without_limits_claims_are_as_ever(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    runner = world.begin()
    runner.take(record_of(offer(0)))
    await ran(world, 0)
    assert world.claims.places == {}


def test_a_rate_is_spaced_evenly_and_saves_up_a_tenth_of_a_second() -> None:
    assert (Rate(100, 1000).interval_us, Rate(100, 1000).saved_us) == (10_000, 90_000)
    assert (Rate(10, 60_000).interval_us, Rate(10, 60_000).saved_us) == (6_000_000, 0)
    assert str(Limit("queue", "mail", 4, Rate(10, 60_000))) == "queue mail: 4 at once, 10 in 1m"
