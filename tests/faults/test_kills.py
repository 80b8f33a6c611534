"""kill -9 of our own processes at random moments under load: nothing is lost, nothing is decided twice, every repeat is explained."""

import asyncio

import pytest

from tests.faults.audit import audit
from tests.faults.harness import Cluster
from tests.faults.load import Load

PARTS = ("control-0", "runner-0", "projection-0")


async def kill_under_load(cluster: Cluster, *, executions: int, kills: int, least: float, most: float) -> None:
    """`kills` of each part, in a random order, while `executions` come in."""
    await cluster.begin()
    load = Load(cluster)
    victims = [part for part in PARTS for _ in range(kills)]
    cluster.random.shuffle(victims)
    lasting = len(victims) * (least + most) / 2
    submitting = asyncio.create_task(load.submit(executions, lambda: lasting / executions * 50))
    for victim in victims:
        await cluster.moment(least, most)
        cluster.processes.kill(victim)
    await submitting
    await cluster.all_finished(executions, 180)
    found = await audit(cluster, load)
    assert len(found.histories) == executions
    print(f"{len(victims)} kills: {found}")


async def test_each_part_is_killed_under_load(cluster: Cluster) -> None:
    await kill_under_load(cluster, executions=1000, kills=1, least=0.5, most=2.0)


@pytest.mark.slow
async def test_each_part_is_killed_ten_times_under_load(cluster: Cluster) -> None:
    await kill_under_load(cluster, executions=5000, kills=10, least=0.3, most=4.0)
