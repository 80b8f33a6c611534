"""Two control processes that both believe they own every partition: the chain decides between them, for every reader alike."""

from tests.faults.audit import audit
from tests.faults.harness import Cluster
from tests.faults.load import Load


async def both_decide(cluster: Cluster, executions: int) -> None:
    await cluster.begin()
    cluster.processes.start("other-control", "other-control")
    await cluster.until(lambda: cluster.processes.said("other-control").count("actor is ready") == 5, "the other one has its partitions")
    load = Load(cluster)
    await load.submit(executions)
    await cluster.all_finished(executions, 180)
    found = await audit(cluster, load)
    assert found.voids > 0
    print(found)


async def test_of_two_owners_each_wins_or_loses_by_log_order(cluster: Cluster) -> None:
    await both_decide(cluster, 300)
