"""A runner in memory for every test that asks for a `world`."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.runner.runner_fakes import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    if hasattr(world, "running"):
        await world.end()


@pytest.fixture
def ran(world: World) -> list[int]:
    """The numbers of the executions of `sync` whose code began."""
    begun: list[int] = []

    async def sync(data: int) -> None:
        begun.append(data)

    world.jobs.job("sync")(sync)
    return begun
