"""A control process: what it says of itself."""

from processors.control.process import Control
from tests.unit.control.lone import Lone
from tests.unit.core.test_partition import World


async def test_a_partition_that_stopped_is_counted() -> None:
    control = Control(Lone(World()).actor.edges.settings)
    well, broken = Lone(World()).actor, Lone(World()).actor
    broken.stopped = "events[1] is broken at offset 7"
    control.actors = {("commands", 0): well, ("commands", 1): broken}
    assert control.stopped == 1
