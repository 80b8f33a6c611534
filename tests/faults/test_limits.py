"""Limits over all workers on the real stack: never more at once, never faster, nobody else is delayed, nothing is lost."""

from pathlib import Path

import pytest

from ledger.stack import Stack
from tests.faults.audit import audit
from tests.faults.harness import cluster_on
from tests.faults.test_crowds import at_once

MOST = 3
A_SECOND = 20


def within(starts: list[float], seconds: float) -> int:
    """How many of these came within such a time, at most."""
    return max(sum(first <= other < first + seconds for other in starts) for first in starts)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True], ids=["calm", "kill -9"])
async def test_a_tenant_s_limits_hold_over_all_workers(fault_stack: Stack, tmp_path: Path, seed: int, kill: bool) -> None:
    tenants = {"few": {"concurrency": MOST}, "slow": {"rate": f"{A_SECOND}/s"}}
    async with cluster_on(fault_stack, tmp_path, seed, tenants=tenants) as cluster:
        await cluster.begin(runners=2)
        async with cluster.ledger() as ledger:

            async def submit(count: int, ms: int, tenant: str | None) -> set[str]:
                wishes = ({"job": "probe", "data": {"ms": ms}, "tenant": tenant} for _ in range(count))
                return {one for one in await ledger.submit_many(wishes) if one is not None}

            few, slow = await submit(60, 50, "few"), await submit(60, 0, "slow")
            free = await submit(300, 0, None)
            if kill:
                for nth in range(4):
                    await cluster.moment(0.2, 0.7)
                    cluster.processes.kill(f"runner-{nth % 2}")  # and it is started again
            await cluster.all_finished(len(few | slow | free))
        lines = cluster.journal()
        starts = {line.execution_id: line.at for line in reversed(lines) if line.word == "start"}
        assert at_once(lines, few) <= MOST
        if not kill:  # a grant whose worker died before control heard of it has spent its start
            assert at_once(lines, few) == MOST, "as many as may run do"
            assert within([starts[one] for one in slow], 1.0) <= A_SECOND * 1.1 + 2
            last = max(starts[one] for one in free)
            assert last < max(starts[one] for one in slow), "who is not limited was not delayed"
        await audit(cluster)


@pytest.mark.slow
async def test_a_redis_that_is_emptied_exceeds_a_limit_for_a_lease_at_most_and_loses_nothing(
    fault_stack: Stack, tmp_path: Path, seed: int
) -> None:
    async with cluster_on(fault_stack, tmp_path, seed, tenants={"few": {"concurrency": MOST}}) as cluster:
        await cluster.begin(runners=2)
        async with cluster.ledger() as ledger:
            await ledger.submit_many({"job": "probe", "data": {"ms": 100}, "tenant": "few"} for _ in range(100))
            for _ in range(3):
                await cluster.moment(0.5, 1.0)
                await cluster.kill_server("valkey", empty=True)
            await cluster.all_finished(100)
        await audit(cluster)
