"""Tables are rebuilt under load, again and again, and the rebuild and the consumer are killed at each step: readers notice nothing."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator

import psycopg
import pytest

from ledger.crashpoints import CRASH_AT, EXIT_KILLED
from projections.connecting import url_of
from tests.faults.audit import audit
from tests.faults.harness import PATIENCE, Cluster
from tests.faults.load import Load
from tests.faults.processes import ROOT

POINTS = (
    "rebuild:before-checkpoint",
    "rebuild:after-checkpoint:3",
    "rebuild:before-keys",
    "rebuild:before-indexes",
    "rebuild:before-catch-up-commit",
    "rebuild:before-swap",
    "rebuild:before-swap-commit",
    "rebuild:after-swap-commit",
)
MIXED = (  # in one statement: an execution that started has its attempt, and none is of the old tables with rows of the new ones
    "SELECT (SELECT count(*) FROM job_executions), (SELECT count(*) FROM job_executions e WHERE attempt > 0"
    " AND NOT EXISTS (SELECT FROM execution_attempts a WHERE a.execution_id = e.execution_id AND a.attempt = e.attempt))"
)


async def rebuild(cluster: Cluster, point: str | None = None) -> int:
    """The exit code of `projections rebuild`, which dies at a point."""
    environment = {**os.environ, **cluster.processes.environment, **({CRASH_AT: point} if point else {})}
    words = ("jobledger", "projections", "rebuild", "--keep-old")
    with (cluster.folder / "rebuild.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.child", str(os.getpid()), *words, cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        ended = asyncio.ensure_future(process.wait())
        await cluster.until(ended.done, f"the rebuild ends at {point}", 2 * PATIENCE)
    return await ended


@contextlib.asynccontextmanager
async def watched(cluster: Cluster) -> AsyncIterator[list[tuple[int, int]]]:
    """A reader all the time: (executions, those of them without their attempt)."""
    seen: list[tuple[int, int]] = []
    over = asyncio.Event()

    async def read() -> None:
        async with await psycopg.AsyncConnection.connect(url_of(cluster.settings), autocommit=True) as connection:
            await connection.execute(f'SET search_path = "{cluster.settings.database.table_schema}"'.encode())
            while not over.is_set():
                (found,) = await (await connection.execute(MIXED.encode())).fetchall()
                seen.append((int(found[0]), int(found[1])))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0.02)

    reading = asyncio.ensure_future(read())
    try:
        yield seen
    finally:
        over.set()
        await reading


@pytest.mark.slow
async def test_rebuilds_die_at_each_step_under_load(cluster: Cluster) -> None:
    await cluster.begin()
    load, points = Load(cluster), list(POINTS)
    await load.submit(500)
    await cluster.all_finished(500)
    submitting = asyncio.create_task(load.submit(3000, lambda: 0.6))
    cluster.random.shuffle(points)
    async with watched(cluster) as seen:
        for point in points:
            code = await rebuild(cluster, point)
            assert code in (EXIT_KILLED, 0), point  # 0: nothing was left to do there
            if cluster.random.random() < 0.5:
                cluster.processes.kill("projection-0")
        assert await rebuild(cluster) == 0
        await submitting
        await cluster.all_finished(load.count, 180)
    assert min(executions for executions, _ in seen) >= 500
    assert {without for _, without in seen} == {0}
    print(f"{len(seen)} looks; {await audit(cluster, load)}")
