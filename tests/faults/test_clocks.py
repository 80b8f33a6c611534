"""The clocks of control nodes are wrong by far. The time of decisions is the broker's, so nothing expires and nothing is due early."""

import time

import pytest

from ledger.core import execution
from processors.broker_clock import SKEW
from tests.faults.audit import audit
from tests.faults.harness import CONTROL, Cluster
from tests.faults.load import Load

TEN_YEARS, AN_HOUR = 10 * 365.25 * 86_400, 3600.0
FAR_AWAY = 3600  # seconds; neither due nor late within this test


@pytest.mark.parametrize("skew", [TEN_YEARS, -AN_HOUR], ids=["ten-years-ahead", "an-hour-back"])
async def test_a_wrong_clock_expires_nothing(cluster: Cluster, skew: float) -> None:
    """The node's clock is right at first; with its successor it has jumped."""
    await cluster.begin()
    load = Load(cluster)
    async with cluster.ledger() as ledger:
        later = await ledger.submit("probe", {"n": 1}, delay=f"{FAR_AWAY}s")
        soon = await ledger.submit("probe", {"n": 2}, delay="1s", start_deadline=f"{FAR_AWAY}s")
        await load.submit(50)
        cluster.processes.kill("control-0", again=False)
        cluster.processes.start("control-0", *CONTROL, **{SKEW: str(skew)})
        await load.submit(100)
        last = await ledger.submit("probe", {"n": 3}, start_deadline=f"{FAR_AWAY}s")
    await cluster.all_finished(load.count + 2)
    await cluster.until(lambda: "clock.skewed" in cluster.processes.said("control-0"), "the alarm is seen")

    cluster.processes.kill("control-0", again=False)
    cluster.processes.start("control-0", *CONTROL)  # right again
    await load.submit(50)
    await cluster.all_finished(load.count + 2)
    found = await audit(cluster, unfinished={later.execution_id})
    assert found.count(execution.Missed) == 0
    assert [type(one) for one in found.histories[later.execution_id]] == [execution.Requested]
    for handle in (soon, last):
        assert isinstance(found.histories[handle.execution_id][-1], execution.Completed)
    assert len(found.histories) == load.count + 3
    assert abs(found.last_at / 1e6 - time.time()) < 120
