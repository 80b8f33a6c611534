"""Fair between tenants: who has 100 000 waiting does not delay another's single job by more than a window."""

from msgspec import Raw

from ledger.core.execution import Requested
from ledger.core.ids import Address, ExecutionId, Micros
from processors.control.dispatch import Dispatch
from tests.unit.control.test_rules import start
from tests.unit.core.test_partition import NOON, World

MANY = 100_000
WINDOW = 100


def crowd(world: World, tenant: str, count: int, *, priority: int = 5, first: int = 0) -> list[ExecutionId]:
    """So many executions of a tenant, straight into the fold."""
    ids = [ExecutionId(f"{tenant}-{nth:07d}-0") for nth in range(count)]
    for nth, one in enumerate(ids, first):
        requested = Requested(one, "noop", "noop", 1, "on_demand", "default", NOON, tenant=tenant, priority=priority, data=Raw(b"1"))
        world.partition.evolve(requested, Address(2 + nth, 0), Micros(NOON))
    return ids


def test_a_single_job_of_another_tenant_is_offered_next() -> None:
    world = World()
    many = crowd(world, "many", MANY)
    dispatch = Dispatch(world.partition, WINDOW)
    assert dispatch.take(0.0)["default"] == many[:WINDOW]
    (single,) = crowd(world, "single", 1, first=MANY)
    assert dispatch.take(0.0) == {}, "the window is full"
    for one in many[:2]:
        start(world, dispatch, one)
    assert single in dispatch.take(0.0)["default"]


def test_each_of_a_few_tenants_has_its_turn() -> None:
    world = World()
    crowd(world, "many", 10 * WINDOW)
    others = [one for tenant in ("a", "b", "c") for one in crowd(world, tenant, 10, first=10 * WINDOW)]
    offered = Dispatch(world.partition, WINDOW).take(0.0)["default"]
    assert set(others) <= set(offered[:40])


def test_what_a_worker_gives_back_does_not_push_another_tenant_back() -> None:
    world = World()
    crowd(world, "many", 10 * WINDOW)
    dispatch = Dispatch(world.partition, WINDOW)
    offered = dispatch.take(0.0)["default"]
    (single,) = crowd(world, "single", 1, first=10 * WINDOW)
    dispatch.take_back([(one, "no_slot") for one in offered], 0.0)
    assert single in dispatch.take(1.0)["default"][:2]


def test_a_new_owner_is_as_fair() -> None:
    world = World()
    crowd(world, "many", MANY)
    (single,) = crowd(world, "single", 1, first=MANY)
    dispatch = Dispatch(world.partition, WINDOW)
    dispatch.begin(lambda queue: {0: 0})
    dispatch.heal({"default": {0: 0}}, 0.0)
    assert single in dispatch.take(0.0)["default"][:2]


def test_a_higher_priority_goes_before_whoever_waits() -> None:
    world = World()
    crowd(world, "many", 10 * WINDOW)
    (urgent,) = crowd(world, "other", 1, priority=0, first=10 * WINDOW)
    assert Dispatch(world.partition, WINDOW).take(0.0)["default"][0] == urgent
