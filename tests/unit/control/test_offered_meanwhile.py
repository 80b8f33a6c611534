"""What happens while the actor tells of a commit, or reads its log again, and sees the fold ahead of what it does next."""

from ledger.core.execution import Active, AttemptLost, Report, Requested, Started, Waiting
from ledger.core.ids import ExecutionId, WorkerId
from processors.control.dispatch import Dispatch
from tests.unit.control.lone import Lone
from tests.unit.core.test_partition import NOON, World, submit

ADA = WorkerId("ada")


def asked(at: int = NOON, **more: object) -> tuple[World, Report]:
    """One execution that waits, and the report of its start."""
    world = World()
    (requested,) = world.when(submit(**more), at=at)
    assert isinstance(requested, Requested)
    state = world.partition.executions[requested.execution_id]
    assert isinstance(state, Waiting)
    return world, Report(requested.execution_id, state.token, ADA)


def running() -> tuple[World, ExecutionId]:
    world, start = asked()
    world.when(start)
    return world, start.execution_id


async def test_what_is_offered_while_its_worker_is_told_that_it_lost_it_stays_offered() -> None:
    """The look at the runners' group comes between the commit and the offers that follow from it, and makes them."""
    world, execution_id = running()
    lone = Lone(world)
    lone.actor.ready = True
    lone.actor.lose(ADA)
    lone.redis.happens = lambda: lone.actor.heal({}, {})
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [AttemptLost] and lone.redis.happens is None
    [made] = await lone.offers()
    assert [(one.execution_id, one.attempt) for one in made.offers] == [(execution_id, 2)]
    assert lone.actor.dispatch.offered[execution_id].place == (0, 0)
    assert lone.actor.dispatch.windows["default"].outstanding == 1


def test_a_grant_that_is_over_does_not_keep_the_next_from_being_offered() -> None:
    """Another owner's commits were folded, and what was outstanding here is not looked through yet."""
    world = World()
    (requested,) = world.when(submit())
    assert isinstance(requested, Requested)
    dispatch, execution_id = Dispatch(world.partition, 100), requested.execution_id
    assert dispatch.take(0.0) == {"default": [execution_id]}
    former = dispatch.offered[execution_id].token
    world.when(Report(execution_id, former, ADA))
    assert isinstance(world.partition.executions[execution_id], Active)
    draft = world.draft()
    draft.include([AttemptLost(execution_id, 1, ADA)])
    world.append(draft)
    assert dispatch.take(1.0) == {"default": [execution_id]}
    assert dispatch.offered[execution_id].token > former and dispatch.windows["default"].outstanding == 1
    dispatch.folded_again()
    assert list(dispatch.offered) == [execution_id]
    dispatch.settle([Started(execution_id, 2, dispatch.offered[execution_id].token, ADA)])
    assert dispatch.windows["default"].outstanding == 0
