"""While the broker's clock is in doubt time stands still: what waits for it is not due, and an actor rests."""

import time
from dataclasses import replace

from ledger.core import backfill, request
from ledger.core.ids import Micros
from processors.broker_clock import BrokerClock
from tests.unit.control.lone import Lone
from tests.unit.core.test_partition import NOON, SECOND, World, submit

HOUR = 3600 * SECOND


def backfilling() -> Lone:
    """A backfill has begun, and its next portion can be asked for."""
    world = World()
    world.when(request.Backfill("b", "carts", "b", Micros(NOON - 100 * SECOND), NOON))
    return Lone(world)


async def test_a_backfill_goes_on_at_once() -> None:
    lone = backfilling()
    assert lone.actor.next_due() == 0
    await lone.actor._work()
    assert isinstance(lone.events()[-1], backfill.Finished)


async def test_a_backfill_is_not_due_while_the_clock_is_in_doubt_and_goes_on_after_that() -> None:
    lone = backfilling()
    clock = lone.actor.edges.clock
    clock.observe(NOON // 1000 + 3_600_000)
    assert clock.in_doubt is not None and lone.actor.next_due() > 0
    lone.actor._committed_at = time.monotonic()
    await lone.actor._work()
    assert lone.events() == []
    clock.observe(NOON // 1000)
    assert lone.actor.next_due() == 0


async def test_the_first_ack_of_a_new_owner_is_compared_with_the_last_commit() -> None:
    """The broker says noon; the log ends a day before, and by the node's clock that was an hour ago."""
    world = World()
    world.when(submit(), at=NOON - 24 * HOUR)
    lone = Lone(world)
    clock = BrokerClock(lambda: NOON - 23 * HOUR, lambda: 0)
    lone.actor.edges = replace(lone.actor.edges, clock=clock)
    await lone.actor._begin()
    assert clock.in_doubt is not None and lone.actor._at() == NOON - 24 * HOUR
