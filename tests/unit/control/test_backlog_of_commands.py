"""Behind a backlog of commands: what a worker said may stand in it, so that nobody heard of it says nothing yet."""

import time
from collections.abc import Callable

import pytest

from ledger.core.execution import Active, AttemptLost, Completed, Missed, Report, ReportRefused, Started
from ledger.core.ids import ExecutionId, Micros, WorkerId
from ledger.core.options import Options
from processors.control.dispatch import QUIET
from processors.control.hearing import LOOK, ON_ITS_WAY, STALLED
from tests.unit.control.lone import Lone
from tests.unit.control.test_offered_meanwhile import asked, running
from tests.unit.core.test_partition import NOON, SECOND, World, submit

ADA = WorkerId("ada")
A_WHILE_AGO = Micros(NOON - 5 * SECOND)


def last_report(world: World, execution_id: ExecutionId) -> Report:
    state = world.partition.executions[execution_id]
    assert isinstance(state, Active)
    return Report(execution_id, state.token, ADA, outcome="completed")


def hasty() -> tuple[World, Report]:
    """What had to start until two seconds ago, and the report that it did."""
    return asked(at=NOON - 3 * SECOND, options=Options(start_deadline_ms=1000))


def heard(lone: Lone, now: float) -> float:
    return lone.actor.hearing.until(now, NOON)


async def test_a_worker_that_is_lost_is_heard_out_first() -> None:
    """It completed its execution and died; the report stood behind other commands for longer than its lease."""
    world, execution_id = running()
    lone = Lone(world)
    lone.deliver(last_report(world, execution_id), appended=A_WHILE_AGO)
    lone.actor.lose(ADA)
    await lone.actor._work()
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [Completed] and not lone.actor.hearing


@pytest.mark.parametrize("end", [lambda lone: lone.actor.writer.next_offset + 1, lambda _: None], ids=["there is more", "not known yet"])
async def test_it_is_heard_out_too_if_its_reports_were_not_even_fetched(end: Callable[[Lone], int | None]) -> None:
    world, execution_id = running()
    lone = Lone(world)
    lone.actor._committed_at = time.monotonic()
    lone.end = end(lone)
    lone.actor.lose(ADA)
    assert 0 < lone.actor.next_due() <= LOOK
    await lone.actor._work()
    assert lone.events() == []
    lone.deliver(last_report(world, execution_id), appended=A_WHILE_AGO)
    lone.end = lone.actor.writer.next_offset
    await lone.actor._work()
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [Completed] and lone.actor.next_due() > LOOK


async def test_an_end_that_is_never_reached_holds_no_records() -> None:
    """Markers of transactions take offsets."""
    world, _ = running()
    lone = Lone(world)
    lone.end = lone.actor.writer.next_offset + 1
    assert heard(lone, time.monotonic() - STALLED) < 0
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


async def test_a_start_deadline_passes_when_what_was_said_by_then_is_decided() -> None:
    world, start = hasty()
    lone = Lone(world)
    lone.actor._committed_at = time.monotonic()
    lone.end = lone.actor.writer.next_offset + 1
    await lone.actor._work()
    assert lone.events() == [] and lone.actor.next_due() <= LOOK
    lone.deliver(start, appended=Micros(NOON - 2 * SECOND))
    await lone.actor._work()
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [Started] and lone.actor.next_due() > LOOK


async def test_a_start_that_was_said_too_late_is_refused() -> None:
    world, start = hasty()
    lone = Lone(world)
    lone.deliver(start, appended=Micros(NOON - SECOND))
    await lone.actor._work()
    assert [type(event) for event in lone.events()] == [Missed, ReportRefused]


async def test_a_deadline_that_waits_to_be_heard_outlives_the_draft_that_would_have_told_of_it() -> None:
    world, _ = hasty()
    lone = Lone(world)
    lone.actor._committed_at = time.monotonic()
    lone.end = None
    await lone.actor._work()
    lone.end = 0
    draft = lone.actor.new_draft(NOON, fresh=True)
    assert [type(event) for event in draft.events] == [Missed]
    lone.actor.dropped()
    assert lone.actor.new_draft(NOON, fresh=True).events == draft.events


async def test_what_was_appended_just_now_may_be_on_its_way() -> None:
    world, _ = asked(at=NOON - SECOND, options=Options(start_deadline_ms=1000))
    lone = Lone(world)
    assert lone.actor.new_draft(NOON, fresh=True).events == []
    later = Micros(NOON + ON_ITS_WAY)
    assert [type(event) for event in lone.actor.new_draft(later, fresh=True).events] == [Missed]
