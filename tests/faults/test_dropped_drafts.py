"""A draft that is not appended: what was due by itself and stood in it has to come again. The actor of control alone, no servers."""

import pytest

from ledger.core import request, wire
from ledger.core.execution import Due, Requested
from ledger.core.ids import Position
from ledger.core.outcome import Rejected
from ledger.core.tick import Adopted
from tests.unit.control.lone import Lone
from tests.unit.core.test_partition import NOON, SECOND, World, submit


def delayed() -> tuple[World, Requested]:
    world = World()
    (requested,) = world.when(submit(delay_ms=1000), at=NOON - 2 * SECOND)
    assert isinstance(requested, Requested)
    return world, requested


async def test_a_timer_survives_a_command_that_needs_the_registry_s_present_end() -> None:
    world, requested = delayed()
    lone = Lone(world)
    lone.deliver(request.Submit("ab" * 16, "nobody-declared-me"))
    await lone.actor._work()
    await lone.actor._work()
    assert Due(requested.execution_id) in lone.events()
    assert [event.reason for event in lone.events() if isinstance(event, Rejected)] == ["unknown_job"]


async def test_a_schedule_is_taken_over_despite_a_command_that_needs_the_registry_s_present_end() -> None:
    lone = Lone(World())
    lone.actor.schedules.begin()
    lone.deliver(request.Submit("ab" * 16, "nobody-declared-me"))
    await lone.actor._work()
    await lone.actor._work()
    assert [event.job_id for event in lone.events() if isinstance(event, Adopted)] == ["carts"]


async def test_a_timer_survives_a_dead_letter_that_could_not_be_written() -> None:
    world, requested = delayed()
    lone = Lone(world)
    lone.letters.refusals = 1
    lone.deliver(wire.decode_commands(b"garbage")[0])
    await lone.actor._work()
    assert lone.events() == []
    await lone.actor._work()
    assert Due(requested.execution_id) in lone.events()
    assert lone.actor.fold.head.position == Position(1, 0)


@pytest.mark.parametrize("again", [1, 3])
async def test_a_timer_is_due_once(again: int) -> None:
    world, requested = delayed()
    lone = Lone(world)
    for _ in range(again):
        await lone.actor._work()
    assert lone.events() == [Due(requested.execution_id)]
