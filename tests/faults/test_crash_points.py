"""A process dies exactly between two steps. Its successor goes on from the log, and from the tables' position."""

import asyncio

from ledger.crashpoints import CRASH_AT, EXIT_KILLED
from tests.faults.audit import audit
from tests.faults.harness import Cluster
from tests.faults.load import CHUNK, Load

CONTROL_POINTS = ("control:before-append", "control:after-append", "control:before-offers")
PROJECTION_POINTS = ("projection:before-sql-commit", "projection:after-sql-commit")


async def test_a_death_between_any_two_steps_costs_nothing(cluster: Cluster) -> None:
    await cluster.begin()
    cluster.tolerates = lambda ended: ended.code == EXIT_KILLED
    load = Load(cluster)
    for point in CONTROL_POINTS:
        # the fifth time and later: behind the commits by which its actors begin
        await die_at(cluster, load, "control-0", f"{point}:{cluster.random.randint(6, 20)}")
    for point in PROJECTION_POINTS:
        await die_at(cluster, load, "projection-0", f"{point}:{cluster.random.randint(1, 3)}")
    await cluster.all_finished(load.count)
    print(await audit(cluster, load))


async def die_at(cluster: Cluster, load: Load, part: str, point: str) -> None:
    """Replace the process by one that dies there, and give it work."""
    deaths = len(cluster.processes.surprises)
    cluster.processes.kill(part, told={CRASH_AT: point})
    while len(cluster.processes.surprises) == deaths:
        submitting = asyncio.create_task(load.submit(CHUNK))
        await cluster.until(lambda task=submitting: task.done(), f"{part} dies at {point}, or {CHUNK} submits are decided")  # type: ignore[misc]
        await submitting
