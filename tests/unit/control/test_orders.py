"""What workers are told of the attempts that they perform: after which events, and for how long."""

import pytest

from ledger.core.executing import decide
from ledger.core.execution import AttemptLost, Cancel, Cancelled, CancelRequested, Completed, Event, Lost, ReportRefused, Started, Waiting
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from ledger.core.orders import Order
from processors.control.orders import AGAIN, Orders
from tests.unit.core.test_partition import NOON, World, submit

ADA = WorkerId("ada")


def running() -> tuple[World, Orders, ExecutionId, Token]:
    """One execution that ada performs."""
    world = World()
    world.when(submit())
    ((execution_id, waiting),) = world.partition.executions.items()
    assert isinstance(waiting, Waiting)
    after(world, Started(execution_id, 1, waiting.token, ADA))
    return world, Orders(world.partition, lambda worker: f"orders:{worker}"), execution_id, waiting.token


def after(world: World, *events: Event) -> None:
    draft = world.draft()
    draft.include(list(events))
    world.append(draft)


@pytest.mark.parametrize("event", [AttemptLost, Lost])
def test_a_worker_that_was_called_lost_is_told_so_should_it_wake_up(event: type[AttemptLost | Lost]) -> None:
    _, orders, execution_id, _ = running()
    assert orders.foresee([event(execution_id, 2, ADA)]) == [("orders:ada", Order(execution_id, "fenced", attempt=2))]


def test_a_worker_that_speaks_in_vain_is_told_that_its_attempt_counts_no_more() -> None:
    _, orders, execution_id, token = running()
    refused = ReportRefused(execution_id, token, WorkerId("bob"), "not_the_worker")
    assert orders.foresee([refused]) == [("orders:bob", Order(execution_id, "fenced", token))]


def test_who_is_replaced_at_once_is_told_before_the_fold_forgets_it() -> None:
    world, orders, execution_id, token = running()
    events = decide(Cancel(execution_id, "terminate_other"), world.partition.executions[execution_id], Micros(NOON))
    assert [type(event) for event in events] == [Cancelled]
    assert orders.foresee(events) == [("orders:ada", Order(execution_id, "fenced", token))]


def test_who_is_asked_to_stop_is_told_so_until_it_has_ended() -> None:
    world, orders, execution_id, token = running()
    events = decide(Cancel(execution_id, "cancel_other"), world.partition.executions[execution_id], Micros(NOON))
    told = [("orders:ada", Order(execution_id, "cancelled", token, reason="cancel_other"))]
    assert orders.foresee(events) == told
    after(world, *events)
    assert orders.again(AGAIN) == told
    assert orders.again(AGAIN + 0.1) == []
    assert orders.again(2 * AGAIN) == told
    after(world, Completed(execution_id, 1))
    assert orders.again(3 * AGAIN) == [] == orders.again(4 * AGAIN)


def test_a_new_owner_knows_from_the_fold_who_was_asked() -> None:
    world, _, execution_id, token = running()
    after(world, CancelRequested(execution_id, "asked"))
    orders = Orders(world.partition, str)
    orders.begin()
    assert orders.again(AGAIN) == [("ada", Order(execution_id, "cancelled", token, reason="asked"))]


def test_an_order_that_never_came_to_the_log_is_not_repeated() -> None:
    _, orders, execution_id, _ = running()
    orders.foresee([CancelRequested(execution_id, "asked")])
    assert orders.again(AGAIN) == []


def test_what_nobody_performs_is_told_to_nobody() -> None:
    world = World()
    (requested,) = world.when(submit())
    orders = Orders(world.partition, str)
    assert orders.foresee([requested]) == []
    (execution_id,) = world.partition.executions
    assert orders.foresee([Cancelled(execution_id, "terminate_other")]) == []
