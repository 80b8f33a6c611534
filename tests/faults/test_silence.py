"""Control that was away comes back to what workers said meanwhile, and reckons with their silence only then (docs/decisions/0030)."""

import asyncio
import signal
import time
from pathlib import Path

from aiokafka import TopicPartition

from ledger.kafka import topics
from ledger.kafka.connect import bounds_of, new_consumer
from ledger.stack import Stack
from tests.faults.audit import audit
from tests.faults.harness import CONTROL, PATIENCE, RUNNER, Cluster, cluster_on
from tests.faults.test_lost_workers import ends, is_accepted, starts

BURST = 50_000  # decided in two seconds or more
DEADLINE = 8.0  # seconds in which a worker is offered a job and starts it, on a machine that has other things to do


async def test_a_worker_that_completed_its_work_and_died_is_heard_out_behind_a_backlog_longer_than_its_lease(
    fault_stack: Stack, tmp_path: Path, seed: int
) -> None:
    """Its last report stands behind a burst of submits, and control comes back to both when its lease is long gone."""
    async with cluster_on(fault_stack, tmp_path, seed, limits={"lease": 0.5, "slots": 50, "shutdown_grace": 2.0}) as cluster:
        await cluster.begin(runners=1)
        released = tmp_path / "released"
        async with cluster.ledger() as ledger:
            handle = await ledger.submit("held", {"until": str(released)})
            await is_accepted(handle, 1)
            cluster.processes.kill("control-0", again=False)
            await ledger.submit_many({"job": "probe", "data": {}, "delay": "1d"} for _ in range(BURST))
            before = await end_of(cluster, "commands")
            released.touch()
            await until_it_goes_on(cluster, "commands", before)
            cluster.processes.kill("runner-0", again=False)
            cluster.processes.start("control-1", *CONTROL)
            cluster.processes.start("runner-1", *RUNNER)
            await cluster.all_finished(1)
            row = await handle.row()
    assert row is not None and (row.state, row.attempt) == ("completed", 1)
    assert starts(cluster, handle.execution_id) == [1]


async def test_what_started_in_time_is_not_missed_because_control_was_away(cluster: Cluster, tmp_path: Path) -> None:
    """It learns of the start after the deadline; a new owner's first commit comes before all that is delivered to it."""
    await cluster.begin(runners=1)
    released = tmp_path / "released"
    async with cluster.ledger() as ledger:
        cluster.processes.send("runner-0", signal.SIGSTOP)
        offered = await end_of(cluster, "work.default")
        handle = await ledger.submit("held", {"until": str(released)}, start_deadline=f"{DEADLINE}s")
        too_late = time.monotonic() + DEADLINE + 0.5
        await until_it_goes_on(cluster, "work.default", offered)
        cluster.processes.kill("control-0", again=False)
        said = await end_of(cluster, "commands")
        cluster.processes.send("runner-0", signal.SIGCONT)
        await until_it_goes_on(cluster, "commands", said)
        assert time.monotonic() < too_late - 1
        await cluster.until(lambda: time.monotonic() > too_late, "the deadline is past")
        cluster.processes.start("control-1", *CONTROL)
        await is_accepted(handle, 1)
        released.touch()
        await cluster.all_finished(1)

    found = await audit(cluster)
    assert ends(found.histories[handle.execution_id]) == ["Completed"]


async def until_it_goes_on(cluster: Cluster, topic: str, end: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await end_of(cluster, topic) == end:
            cluster.look()


async def end_of(cluster: Cluster, topic: str) -> int:
    """How many records the partitions of a topic have had."""
    settings = cluster.settings
    partitions = next(one.partitions for one in topics.specs(settings) if one.name == settings.topic(topic))
    consumer = new_consumer(settings.kafka.bootstrap)
    await consumer.start()
    try:
        bounds = await bounds_of(consumer, [TopicPartition(settings.topic(topic), number) for number in range(partitions)])
        return sum(end for _, end in bounds.values())
    finally:
        await consumer.stop()
