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
