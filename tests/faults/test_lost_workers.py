"""A worker dies in the middle of a job: another one runs it, and what loses its worker too often is lost."""

import asyncio
import signal
from pathlib import Path

import pytest

from ledger.client.handle import ExecutionHandle
from ledger.core import execution
from tests.faults.audit import audit
from tests.faults.harness import RUNNER, Cluster


def starts(cluster: Cluster, execution_id: str) -> list[int]:
    """The attempts that began."""
    return [line.attempt for line in cluster.journal() if line.word == "start" and line.execution_id == execution_id]


async def test_a_job_outlives_its_worker_but_not_three_of_them(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.begin(runners=2)
    released, never = tmp_path / "released", tmp_path / "never"
    async with cluster.ledger() as ledger:
        lucky = await ledger.submit("held", {"until": str(released)})
        hopeless = await ledger.submit("held", {"until": str(never)})
        for attempt in range(1, cluster.settings.limits.max_lost_attempts + 1):
            await is_accepted(hopeless, attempt)
            if attempt <= 2:
                await is_accepted(lucky, attempt)
            if attempt == 2:
                released.touch()
                await cluster.all_finished(1)
            for name in ("runner-0", "runner-1"):
                cluster.processes.kill(name)
        await cluster.all_finished(2)

    found = await audit(cluster)
    assert ends(found.histories[lucky.execution_id]) == ["AttemptLost", "Completed"]
    assert ends(found.histories[hopeless.execution_id]) == ["AttemptLost", "AttemptLost", "Lost"]
    # a dead worker's offer may come again by Kafka before control calls the attempt lost: nobody runs it for that
    assert starts(cluster, hopeless.execution_id) == [1, 2, 3]


@pytest.mark.slow
async def test_a_job_ten_times_longer_than_the_lease_runs_once(cluster: Cluster) -> None:
    await cluster.begin(runners=2)
    long = {"ms": round(cluster.settings.limits.lease * 10_000) + 500}
    async with cluster.ledger() as ledger:
        made = [await ledger.submit(job, long) for job in ("probe", "blocking")]
        await cluster.all_finished(2)
    found = await audit(cluster)
    assert [ends(found.histories[one.execution_id]) for one in made] == [["Completed"], ["Completed"]]
    assert [starts(cluster, one.execution_id) for one in made] == [[1], [1]]


async def test_a_worker_that_was_stopped_and_wakes_up_stops_what_is_no_longer_its(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.begin(runners=1)
    released = tmp_path / "released"
    async with cluster.ledger() as ledger:
        handle = await ledger.submit("held", {"until": str(released)})
        await is_accepted(handle, 1)
        cluster.processes.send("runner-0", signal.SIGSTOP)
        cluster.processes.start("runner-1", *RUNNER)
        await is_accepted(handle, 2)
        cluster.processes.send("runner-0", signal.SIGCONT)
        await cluster.until(lambda: "attempt.fenced" in cluster.processes.said("runner-0"), "the woken worker is told")
        released.touch()
        await cluster.all_finished(1)

    found = await audit(cluster)
    assert ends(found.histories[handle.execution_id]) == ["AttemptLost", "Completed"]
    assert starts(cluster, handle.execution_id) == [1, 2]
    assert [line.attempt for line in cluster.journal() if line.word == "end"] == [2]


async def is_accepted(handle: ExecutionHandle, attempt: int) -> None:
    """The start of this attempt is in the log: a worker that is killed before that may leave its grant to another."""
    for _ in range(1200):
        row = await handle.row()
        if row is not None and row.attempt == attempt and row.state in ("active", "processing"):
            return
        await asyncio.sleep(0.05)  # between two looks, a minute of them at most
    raise TimeoutError(f"attempt {attempt} of {handle.execution_id} did not start: {row}")


def ends(history: list[execution.Event]) -> list[str]:
    return [type(one).__name__ for one in history if isinstance(one, execution.AttemptLost | execution.Completed | execution.Lost)]
