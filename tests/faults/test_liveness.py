"""Slow is not dead, a poisonous job does not kill for ever, and who is asked to go leaves nothing counted and nobody behind."""

import asyncio
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from ledger.cli.measuring.overlaps import overlaps_in_log
from ledger.core import execution
from ledger.stack import Stack
from ledger.submitting.submission import Submission
from projections.audit import audit as everything
from tests.faults.audit import audit
from tests.faults.harness import PROJECTION, RUNNER, Cluster, cluster_on
from tests.faults.load import Load
from tests.faults.test_lost_workers import is_accepted, starts

WORKER = ("jobledger", "worker")
MACHINES = ("machine-0", "machine-1")

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


def wish(chance: random.Random, keys: int) -> Submission:
    key = f"k{chance.randrange(keys)}"
    return Submission("guarded", {"key": key, "ms": str(chance.choice((0, 1, 5, 20, 300)))}, exclusive_key=key)


def left_behind(folder: Path) -> list[str]:
    """Processes whose environment names this cluster, whoever started them."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended, or is somebody else's
    return found


async def test_two_machines_that_come_and_go_finish_everything_and_leave_nobody(fault_stack: Stack, tmp_path: Path, seed: int) -> None:
    """For two minutes one of the two is started, stopped or killed; each is a supervisor with control and a runner."""
    limits = {"lease": 2.0, "slots": 50, "offer_window": 100, "shutdown_grace": 1.0, "snapshot_events": 2000, "max_lost_attempts": 100}
    async with cluster_on(fault_stack, tmp_path, seed, limits=limits) as cluster:
        processes, executions = cluster.processes, 6000
        await cluster.begin(controls=0, runners=0, projections=0, meanwhile=lambda: [processes.start(one, *WORKER) for one in MACHINES])
        processes.start("projection-0", *PROJECTION)
        load = Load(cluster, partial(wish, keys=200))
        submitting = asyncio.create_task(load.submit(executions, lambda: 120 / executions * 50))
        done: list[str] = []
        until = time.monotonic() + 120
        while time.monotonic() < until:
            await cluster.moment(1.0, 6.0)
            name = cluster.random.choice(MACHINES)
            if name not in processes.running:
                processes.start(name, *WORKER)
            elif cluster.random.random() < 0.5:
                processes.kill(name, again=False)
            else:
                await asyncio.to_thread(processes.stop, name)
            done.append(name)
        for name in MACHINES:
            if name not in processes.running:
                processes.start(name, *WORKER)
        await submitting
        await cluster.all_finished(executions, 240)
        found = await audit(cluster, load)
        assert found.count(execution.Completed) == executions
        wrong = [one for one in (await everything(cluster.settings)).checks if one.differences]
        assert wrong == []
        assert (await overlaps_in_log(cluster.settings))[0] == []
        for name in list(processes.running):
            await asyncio.to_thread(processes.stop, name)
        await cluster.until(lambda: left_behind(tmp_path) == [], "no process is left", 20)
        print(f"{len(done)} starts and ends: {found}")
