"""A worker that is asked to go: it takes no more, and what runs ends in its own time."""

import asyncio

from ledger.config.settings import Limits
from processors.runner.runner import BACK_EVERY
from tests.unit.runner.runner_fakes import World, offer, record_of
from tests.unit.runner.test_limiting import Slow
from tests.unit.runner.test_pipeline import ran


async def test_it_lets_what_runs_end_and_gives_back_what_comes_meanwhile(world: World) -> None:
    world.limits = Limits(slots=1, shutdown_grace=0.05, lease=1.0)
    slow = Slow(world)
    runner = world.begin()
    runner.take(record_of(offer(0, data=0), offer(2, data=2)))
    await slow.until(1)
    finishing = asyncio.create_task(runner.finish())
    await world.sender.until(lambda: world.sender.returned == {"draining": [offer(2).execution_id]})
    runner.take(record_of(offer(2, data=2), offer(4, data=4)))
    await world.sender.until(lambda: world.sender.returned["draining"][1:] == [offer(4).execution_id])
    await world.sender.until(lambda: world.sender.returned["draining"][2:] == [offer(2).execution_id], 5 * BACK_EVERY)
    assert not finishing.done() and list(slow.running) == [0], "longer than the grace of a SIGTERM"
    slow.end()
    await ran(world, 0)
    await finishing
    assert await runner.drain()


async def test_one_that_runs_nothing_has_finished_at_once(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    await asyncio.wait_for(world.begin().finish(), 1)
