"""kill -9 of the servers under load. Redis comes back empty."""

import asyncio

import pytest

from tests.faults.audit import audit
from tests.faults.harness import Cluster
from tests.faults.load import Load

SERVERS = ("kafka", "valkey", "postgres")


async def kill_servers(cluster: Cluster, *, executions: int, kills: int) -> None:
    await cluster.begin()
    load = Load(cluster)
    victims = list(SERVERS) * kills
    cluster.random.shuffle(victims)
    submitting = asyncio.create_task(load.submit(executions, lambda: len(victims) * 3 / executions * 50))
    for victim in victims:
        await cluster.moment(0.5, 3.0)
        await cluster.kill_server(victim, empty=victim == "valkey", down=1.5)
    await submitting
    await cluster.all_finished(executions, 180)
    print(f"killed {victims}: {await audit(cluster, load)}")


async def test_each_server_is_killed_under_load(cluster: Cluster) -> None:
    await kill_servers(cluster, executions=400, kills=1)


@pytest.mark.slow
async def test_each_server_is_killed_four_times_under_load(cluster: Cluster) -> None:
    await kill_servers(cluster, executions=3000, kills=4)
