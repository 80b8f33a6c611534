"""Control processes that come, go, die and freeze under a stream of commands: each command is decided exactly once."""

import asyncio
import signal

import pytest

from tests.faults.audit import audit
from tests.faults.harness import CONTROL, Cluster
from tests.faults.load import Load

MOST_CONTROLS = 3


class Turmoil:
    """Each step is one change of who is there. At least one process is left that is neither gone nor frozen."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.frozen: list[str] = []
        self.joined = 0
        self.done: list[str] = []

    def _awake(self) -> list[str]:
        names = sorted(self.cluster.processes.running)
        return [name for name in names if name.startswith("control-") and name not in self.frozen]

    async def step(self, act: str) -> None:
        victim = self.cluster.random.choice(self._awake())
        if act == "join" or len(self._awake()) < 2:
            self.joined += 1
            self.cluster.processes.start(f"control-{self.joined}", *CONTROL)
        elif act == "kill":
            self.cluster.processes.kill(victim, again=False)
        elif act == "term":
            code = await asyncio.to_thread(self.cluster.processes.stop, victim)
            assert code in (0, -signal.SIGTERM), f"{victim} answered SIGTERM with {code}"  # the latter before it began to listen
        else:
            self.cluster.processes.send(victim, signal.SIGSTOP)
            self.frozen.append(victim)
        self.done.append(act)
        if len(self.frozen) > 1 or len(self._awake()) + len(self.frozen) > MOST_CONTROLS:
            self.thaw()

    def thaw(self) -> None:
        """The one that is frozen longest goes on, as if nothing had happened."""
        for name in self.frozen[:1]:
            self.frozen.remove(name)
            self.cluster.processes.send(name, signal.SIGCONT)


async def turmoil(cluster: Cluster, *, executions: int, acts: list[str], most: float) -> None:
    await cluster.begin()
    load, unrest = Load(cluster), Turmoil(cluster)
    cluster.random.shuffle(acts)
    # an old control notices in time that it was frozen, or its watchdog does
    cluster.tolerates = lambda ended: ended.name.startswith("control-") and ended.code in (70, 71)
    submitting = asyncio.create_task(load.submit(executions, lambda: len(acts) * most / 2 / executions * 50))
    for act in ["join", *acts]:
        await cluster.moment(0.2, most)
        await unrest.step(act)
    while unrest.frozen:
        unrest.thaw()
    await submitting
    await cluster.all_finished(executions, 180)
    found = await audit(cluster, load)
    surprises = [(one.name, one.code) for one in cluster.processes.surprises]
    print(f"{unrest.done}: {found}; ended by themselves: {surprises}")


async def test_joins_and_ends_of_control_decide_each_command_once(cluster: Cluster) -> None:
    await turmoil(cluster, executions=400, acts=["join", "kill", "term", "freeze"], most=2.5)


@pytest.mark.slow
async def test_twenty_joins_and_ends_of_control_decide_each_command_once(cluster: Cluster) -> None:
    await turmoil(cluster, executions=4000, acts=["join", "kill", "term", "freeze"] * 5, most=5.0)
