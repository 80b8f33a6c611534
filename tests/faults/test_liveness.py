"""Slow is not dead, a poisonous job does not kill for ever, and who is asked to go leaves nothing counted."""

import asyncio
import signal
from pathlib import Path

import pytest

from ledger.core import execution
from ledger.stack import Stack
from tests.faults.audit import audit
from tests.faults.harness import RUNNER, Cluster, cluster_on
from tests.faults.test_lost_workers import is_accepted, starts

pytestmark = pytest.mark.slow


async def test_a_job_that_kills_its_worker_is_lost_after_three_and_the_workers_live_on(cluster: Cluster) -> None:
    await cluster.begin(runners=2)
    cluster.tolerates = lambda ended: ended.name.startswith("runner-") and ended.code == -signal.SIGKILL
    async with cluster.ledger() as ledger:
        poison = await ledger.submit("killing")
        await cluster.all_finished(1)
        others = await ledger.submit_many({"job": "probe", "data": {"n": n}} for n in range(100))
        await cluster.all_finished(101)
    found = await audit(cluster)
    kinds = [type(one) for one in found.histories[poison.execution_id]]
    assert kinds.count(execution.AttemptLost) == cluster.settings.limits.max_lost_attempts - 1 and kinds[-1] is execution.Lost
    # the first worker may die before it told of the start: after that none begins before control knows
    assert sorted(set(starts(cluster, poison.execution_id))) == [1, 2, 3]
    assert 3 <= len(cluster.processes.surprises) <= 4
    assert all(isinstance(found.histories[str(one)][-1], execution.Completed) for one in others)


@pytest.mark.parametrize("job", ["guarded", "guarded-blocking"])
async def test_an_exclusive_job_ten_times_longer_than_the_lease_runs_once(fault_stack: Stack, tmp_path: Path, seed: int, job: str) -> None:
    async with cluster_on(fault_stack, tmp_path, seed, limits={"lease": 1.0, "slots": 10}) as cluster:
        await cluster.begin(runners=2)
        async with cluster.ledger() as ledger:
            handle = await ledger.submit(job, {"key": "k", "ms": "10000"}, exclusive_key="k")
            await cluster.all_finished(1)
        found = await audit(cluster)
        assert starts(cluster, handle.execution_id) == [1]
        assert [type(one) for one in found.histories[handle.execution_id]][-2:] == [execution.Started, execution.Completed]


async def test_what_a_worker_hands_back_when_it_is_asked_to_go_is_not_counted(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.begin(runners=1)
    released = tmp_path / "released"
    async with cluster.ledger() as ledger:
        handle = await ledger.submit("held", {"until": str(released)})
        await is_accepted(handle, 1)
        cluster.processes.start("runner-1", *RUNNER)
        assert await asyncio.to_thread(cluster.processes.stop, "runner-0") == 0
        await cluster.until(lambda: len(starts(cluster, handle.execution_id)) == 2, "the other worker runs it")
        released.touch()
        await cluster.all_finished(1)
    found = await audit(cluster)
    assert starts(cluster, handle.execution_id) == [1, 1]
    history = found.histories[handle.execution_id]
    assert [one.attempt for one in history if isinstance(one, execution.Started | execution.Completed)] == [1, 1, 1]
    assert sum(isinstance(one, execution.HandedBack) for one in history) == 1
