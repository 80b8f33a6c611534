"""The topic of commands is made anew while it is read: the consumer begins it from its start, and Faust drops what it takes for old."""

import pytest

from tests.unit.control.lone import Lone
from tests.unit.core.test_partition import World, submit


@pytest.mark.parametrize(("end", "is_sought"), [(2, False), (1, True), (0, True), (None, False)])
def test_where_the_topic_ends_before_what_was_read_of_it_the_place_is_sought(end: int | None, is_sought: bool) -> None:
    lone = Lone(World())
    lone.deliver(submit())
    lone.deliver(submit())
    lone.actor.ready, lone.end = True, end
    lone.actor.look_at_end()
    assert (lone.actor._seeking.due_in() is not None) == is_sought


def test_an_actor_that_still_reads_its_log_seeks_nothing() -> None:
    lone = Lone(World())
    lone.deliver(submit())
    lone.actor.look_at_end()
    assert lone.actor._seeking.due_in() is None
