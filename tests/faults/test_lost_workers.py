"""A worker dies in the middle of a job: another one runs it, and what loses its worker too often is lost."""

from pathlib import Path

from ledger.core import execution
from tests.faults.audit import audit
from tests.faults.harness import Cluster


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
            await cluster.until(lambda attempt=attempt: attempt in starts(cluster, hopeless.execution_id), f"attempt {attempt} begins")  # type: ignore[misc]
            if attempt == 1:
                await cluster.until(lambda: 1 in starts(cluster, lucky.execution_id), "the lucky one begins")
            if attempt == 2:
                await cluster.until(lambda: 2 in starts(cluster, lucky.execution_id), "the lucky one begins again")
                released.touch()
                await cluster.all_finished(1)
            for name in ("runner-0", "runner-1"):
                cluster.processes.kill(name)
        await cluster.all_finished(2)

    found = await audit(cluster)
    assert ends(found.histories[lucky.execution_id]) == ["AttemptLost", "Completed"]
    assert ends(found.histories[hopeless.execution_id]) == ["AttemptLost", "AttemptLost", "Lost"]
    assert starts(cluster, hopeless.execution_id) == [1, 2, 3]


def ends(history: list[execution.Event]) -> list[str]:
    return [type(one).__name__ for one in history if isinstance(one, execution.AttemptLost | execution.Completed | execution.Lost)]
