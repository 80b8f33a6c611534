"""Many in one queue: quick jobs do not wait for slow ones, and one tenant's crowd does not keep another tenant's single job."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from ledger.client.ledger import Ledger
from ledger.stack import Stack
from tests.faults.audit import audit
from tests.faults.harness import RUNNER, Cluster, cluster_on
from tests.faults.probe import Line

AT_ONCE = 5000


async def submit(ledger: Ledger, count: int, job: str = "probe", **more: object) -> None:
    """So many, in order."""
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(count, start + AT_ONCE))
        await ledger.submit_many(({"job": job, "data": {"n": n}, **more} for n in numbers), first=start)


def at_once(lines: Iterable[Line], executions: set[str]) -> int:
    """How many of these ran at the same time, at most; what was killed before its end does not count."""
    ended = {(line.execution_id, line.attempt, line.pid) for line in lines if line.word == "end"}
    steps = sorted(
        (line.at, 1 if line.word == "start" else -1)
        for line in lines
        if line.execution_id in executions and (line.execution_id, line.attempt, line.pid) in ended
    )
    most = running = 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most


def starts(cluster: Cluster) -> list[Line]:
    return [line for line in cluster.journal() if line.word == "start"]


@pytest.mark.parametrize(
    ("slow", "slots", "quick"), [pytest.param(4, 3, 200), pytest.param(20, 12, 2000, marks=pytest.mark.slow)], ids=["slice", "whole"]
)
async def test_quick_jobs_finish_while_the_slow_ones_run(
    fault_stack: Stack, tmp_path: Path, seed: int, slow: int, slots: int, quick: int
) -> None:
    """The slow ones leave two slots (or four) in all, and end only after the quick ones have. Some of those are of a tenant that may not
    run more than one at a time, over both workers."""
    limits = {"lease": 2.0, "slots": slots, "offer_window": 100, "shutdown_grace": 2.0}
    async with cluster_on(fault_stack, tmp_path, seed, limits=limits, tenants={"few": {"concurrency": 1}}) as cluster:
        await cluster.begin(runners=2)
        released = tmp_path / "released"
        async with cluster.ledger() as ledger:
            await ledger.submit_many({"job": "held", "data": {"until": str(released)}} for _ in range(slow))
            await cluster.until(lambda: len(starts(cluster)) == slow, "the slow ones run")
            began = time.monotonic()
            few = set(
                filter(None, await ledger.submit_many({"job": "probe", "data": {"ms": 5}, "tenant": "few"} for _ in range(quick // 10)))
            )
            await submit(ledger, quick - len(few))
            await cluster.all_finished(quick)
            print(f"{quick} quick ones took {time.monotonic() - began:.1f} s beside {slow} that ran all the time")
            assert sum(line.word == "end" for line in cluster.journal()) == quick
            released.touch()
            await cluster.all_finished(quick + slow)
        assert at_once(cluster.journal(), few) == 1
        await audit(cluster)


@pytest.mark.slow
async def test_a_crowd_of_100_000_does_not_delay_another_tenant_s_job_by_more_than_a_window(cluster: Cluster) -> None:
    await cluster.begin(runners=0)
    async with cluster.ledger() as ledger:
        await submit(ledger, 100_000, tenant="many")
        single = await ledger.submit("probe", {}, tenant="single")
        cluster.processes.start("runner-0", *RUNNER)
        await asyncio.wait_for(single.result(), 60)
    before = [line.execution_id for line in starts(cluster)].index(single.execution_id)
    window = cluster.settings.limits.offer_window * cluster.settings.partitions
    print(f"{before} of 100 000 started before it; the windows hold {window}")
    assert before <= 2 * window
