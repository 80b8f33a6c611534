"""Behind a backlog of commands: what a worker said may stand in it, so that nobody heard of it says nothing yet."""

import time

from ledger.core.execution import Active, AttemptLost, Completed, Report
from ledger.core.ids import ExecutionId, Micros, WorkerId
from processors.control.dispatch import QUIET
from processors.control.hearing import LOOK, STALLED
from tests.unit.control.lone import Lone
from tests.unit.control.test_offered_meanwhile import running
from tests.unit.core.test_partition import NOON, SECOND, World, submit

ADA = WorkerId("ada")
A_WHILE_AGO = Micros(NOON - 5 * SECOND)


def last_report(world: World, execution_id: ExecutionId) -> Report:
    state = world.partition.executions[execution_id]
    assert isinstance(state, Active)
    return Report(execution_id, state.token, ADA, outcome="completed")


def heard(lone: Lone, now: float) -> float:
    return lone.actor.hearing.until(now, NOON, committed_at=now)


async def test_a_worker_that_is_lost_is_heard_out_first() -> None:
    """It completed its execution and died; the report stood behind other commands for longer than its lease."""
    world, execution_id = running()
    lone = Lone(world)
    lone.deliver(last_report(world, execution_id), appended=A_WHILE_AGO)
    lone.actor.lose(ADA)
    await lone.actor._work()
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [Completed] and not lone.actor.hearing


async def test_it_is_heard_out_too_if_its_reports_were_not_even_fetched() -> None:
    world, execution_id = running()
    lone = Lone(world)
    lone.actor._committed_at = time.monotonic()
    lone.end = lone.actor.writer.next_offset + 1
    lone.actor.lose(ADA)
    assert 0 < lone.actor.next_due() <= LOOK
    await lone.actor._work()
    assert lone.events() == []
    lone.deliver(last_report(world, execution_id), appended=A_WHILE_AGO)
    await lone.actor._work()
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [Completed] and lone.actor.next_due() > LOOK


async def test_an_end_that_is_never_reached_holds_no_records() -> None:
    """Markers of transactions take offsets."""
    world, _ = running()
    lone = Lone(world)
    lone.actor._committed_at -= STALLED
    lone.end = lone.actor.writer.next_offset + 1
    lone.actor.lose(ADA)
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [AttemptLost]


async def test_what_came_after_it_was_missed_is_not_waited_for() -> None:
    world, _ = running()
    lone = Lone(world)
    lone.actor.lose(ADA)
    lone.deliver(submit(command_id="later"), appended=NOON)
    await lone.actor._work()
    assert type(lone.events()[0]) is AttemptLost


def test_an_offer_is_not_made_again_while_its_start_may_wait_to_be_decided() -> None:
    world = World()
    world.when(submit())
    lone = Lone(world)
    lone.actor.ready = True
    now, dispatch = 0.0, lone.actor.dispatch
    dispatch.folded_again()
    (execution_id,) = dispatch.take(now)["default"]
    dispatch.placed([execution_id], 0, 0)
    lone.deliver(submit(command_id="before the start"), appended=A_WHILE_AGO)
    assert heard(lone, now) == -5.0
    assert dispatch.heal({"default": {0: 1}}, now, heard(lone, now)) == {}
    assert dispatch.heal({"default": {0: 1}}, now + QUIET, heard(lone, now + QUIET)) == {}
    lone.actor.writer.inbox.clear()
    assert dispatch.heal({"default": {0: 1}}, now + QUIET, heard(lone, now + QUIET)) == {"default": [execution_id]}
