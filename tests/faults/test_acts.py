"""Acts on many executions and on dead letters, while whoever asks and whoever decides is killed: each is done once, and counted once."""

import asyncio
from collections.abc import Callable, Coroutine

import psycopg
import pytest
from msgspec import Raw
from psycopg.sql import SQL, Identifier

from ledger.client.bulk_frame import BulkDone
from ledger.client.bulk_run import Told
from ledger.client.ledger import Ledger
from ledger.core import wire
from ledger.core.request import Submit
from ledger.crashpoints import CRASH_AT, EXIT_KILLED
from ledger.kafka.connect import new_producer
from ledger.submitting.naming import fresh_command_id
from projections.acting_reads import MOST_TARGETS
from projections.audit import audit
from projections.connecting import url_of
from projections.rows import ExecutionFilter
from tests.faults.harness import PATIENCE, Cluster

COUNT = 4 * MOST_TARGETS
POINTS = ("control:before-append", "control:after-append", "control:before-offers")
Act = Callable[[Ledger, Told], Coroutine[object, object, BulkDone]]


@pytest.mark.slow
async def test_bulk_acts_are_done_once_whoever_dies(cluster: Cluster) -> None:
    await cluster.begin()
    cluster.tolerates = lambda ended: ended.code == EXIT_KILLED
    held = ExecutionFilter(tenant="held")
    async with cluster.ledger() as ledger:
        await ledger.pause(tenant="held", timeout=PATIENCE)
        await ledger.submit_many({"job": "probe", "data": {}, "tenant": "held"} for _ in range(COUNT))
        await cluster.until(lambda: rows(cluster, "state = 'waiting'") == COUNT, "all wait")
    done = await done_among_deaths(cluster, lambda ledger, told: ledger.cancel_many(held, told=told, timeout=PATIENCE))
    assert (done.planned, done.done, done.refused) == (COUNT, COUNT, 0)
    await cluster.until(lambda: rows(cluster, "state = 'cancelled'") == COUNT, "all are cancelled in the tables")
    cancelled = ExecutionFilter(tenant="held", state="cancelled")
    done = await done_among_deaths(cluster, lambda ledger, told: ledger.retry_many(cancelled, told=told, timeout=PATIENCE))
    assert (done.planned, done.done, done.refused) == (COUNT, COUNT, 0)
    async with cluster.ledger() as ledger:
        await ledger.resume(tenant="held", timeout=PATIENCE)
    await cluster.until(lambda: rows(cluster, "state = 'completed'") == COUNT, "all retries have run")
    assert rows(cluster, "true", "DISTINCT retry_of") == COUNT
    found = await audit(cluster.settings)
    assert not [one for one in found.checks if one.differences]


async def done_among_deaths(cluster: Cluster, act: Act) -> BulkDone:
    """The client dies after its first page; its successor's control dies at each point, and by kill -9."""
    names: list[str] = []

    def tell(bulk_id: str, decided: int, planned: int) -> None:
        names.append(bulk_id)
        if decided:
            raise ConnectionAbortedError

    async with cluster.ledger() as ledger:
        with pytest.raises(ConnectionAbortedError):
            await act(ledger, tell)
        await cluster.until(lambda: bulks(cluster, names[0]) > 0, "the tables know of the act")
    async with cluster.ledger() as ledger:
        going_on = asyncio.create_task(ledger.resume_bulk(names[0], timeout=PATIENCE))
        for point in POINTS:
            cluster.processes.kill("control-0", told={CRASH_AT: f"{point}:{cluster.random.randint(6, 12)}"})
            await cluster.moment(1, 4)
        await cluster.until(going_on.done, "the act comes to its end")
        return await going_on


@pytest.mark.slow
async def test_a_letter_that_is_sent_again_while_control_dies_runs_once(cluster: Cluster) -> None:
    await cluster.begin()
    cluster.tolerates = lambda ended: ended.code == EXIT_KILLED
    meant = Submit(fresh_command_id(), "probe", Raw(b"{}"))
    producer = new_producer(cluster.settings.kafka.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(cluster.settings.topic("commands"), wire.encode(meant)[:-1], partition=1)
    finally:
        await producer.stop()
    async with cluster.ledger() as ledger:
        async with asyncio.timeout(PATIENCE):
            while not (await ledger.dead_letters.list()).items:  # noqa: ASYNC110  # there is nothing to await
                await asyncio.sleep(0.05)
        # its actors append a commit each when they begin: the next one is the redrive's, and what it says is sent before that
        cluster.processes.kill("control-0", told={CRASH_AT: f"control:before-append:{cluster.settings.partitions + 2}"})
        redriving = asyncio.create_task(ledger.redrive(0, commands=Raw(wire.encode(meant)), reason="mended", timeout=PATIENCE))
        await cluster.until(redriving.done, "the redrive is decided")
        assert (await redriving).outcome == "applied"
        assert (await ledger.redrive(0)).outcome in ("applied", "unchanged")
        await cluster.until(lambda: rows(cluster, "state = 'completed'") == 1, "what it says has run")
    assert len(cluster.processes.surprises) >= 1
    assert [line.word for line in cluster.journal()] == ["start", "end"]
    found = await audit(cluster.settings)
    assert not [one for one in found.checks if one.differences]


def rows(cluster: Cluster, where: str, what: str = "*") -> int:
    return _count(cluster, f"SELECT count({what}) FROM {{}} WHERE {where}", "job_executions")


def bulks(cluster: Cluster, bulk_id: str) -> int:
    return _count(cluster, f"SELECT count(*) FROM {{}} WHERE bulk_id = '{bulk_id}'", "bulk_acts")


def _count(cluster: Cluster, query: str, table: str) -> int:
    with psycopg.connect(url_of(cluster.settings), connect_timeout=5) as connection:
        row = connection.execute(SQL(query).format(Identifier(cluster.settings.database.table_schema, table))).fetchone()  # type: ignore[arg-type]  # of this file alone
        return int(row[0]) if row else -1
