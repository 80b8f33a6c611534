"""What a limit over all workers holds up: out of the way of others, offered as it gets through, fair between tenants."""

from ledger.core.execution import Cancelled, Completed
from ledger.core.ids import ExecutionId
from processors.control.dispatch import Dispatch
from processors.control.limited import FIRST_PAUSE, FIRST_WINDOW, FORGOTTEN, LONGEST_PAUSE, LONGEST_WAIT, Limited
from tests.unit.control.test_rules import start
from tests.unit.core.test_partition import World, submit

LIMIT = "tenant:acme"


def world_of(acme: int = 20, others: int = 0, *, window: int = 100) -> tuple[World, Dispatch]:
    world = World()
    world.when(*(submit(command_id=f"a{n}", tenant="acme") for n in range(acme)))
    world.when(*(submit(command_id=f"o{n}", tenant="zoo") for n in range(others)))
    return world, Dispatch(world.partition, window, limited=Limited(window))


def tenants(world: World, offered: list[ExecutionId]) -> list[str | None]:
    return [world.partition.executions[one].request.tenant for one in offered]  # type: ignore[union-attr]  # all wait


def end(world: World, dispatch: Dispatch, execution_id: ExecutionId) -> None:
    draft = world.draft()
    draft.include([Completed(execution_id, 1)])
    world.append(draft)
    dispatch.settle(draft.events)


def give_back(dispatch: Dispatch, offered: list[ExecutionId], now: float, wait_ms: int = 0) -> None:
    dispatch.take_back_limited([(one, LIMIT, wait_ms) for one in offered], now)


def test_it_leaves_its_place_to_others_and_the_queue_s_window_stays_as_it_is() -> None:
    world, dispatch = world_of(100)
    give_back(dispatch, dispatch.take(0.0)["default"], 0.0)
    assert dispatch.take(0.0) == {}
    assert (dispatch.windows["default"].size, dispatch.windows["default"].outstanding) == (100, 0)
    world.when(*(submit(command_id=f"late{n}", tenant="acme") for n in range(5)), submit(command_id="other", tenant="zoo"))
    assert tenants(world, dispatch.take(0.0)["default"]) == ["zoo"]


def test_after_a_pause_a_few_are_offered_again_in_their_order_and_ever_more_rarely() -> None:
    _, dispatch = world_of(20)
    offered = dispatch.take(0.0)["default"]
    give_back(dispatch, offered, 0.0)
    now, pauses, sizes = 0.0, [], []
    for _ in range(6):
        pause = dispatch.opens_in(now)
        assert pause is not None
        now += pause
        assert dispatch.open(now)
        again = dispatch.take(now)["default"]
        assert again == offered[: len(again)]
        pauses.append(pause)
        sizes.append(len(again))
        give_back(dispatch, again, now)
    assert pauses[0] == FIRST_PAUSE and pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE
    assert sizes == [FIRST_WINDOW // 2, 2, 1, 1, 1, 1]


def test_starts_widen_it_and_an_end_lets_the_next_go_at_once() -> None:
    world, dispatch = world_of(20)
    give_back(dispatch, dispatch.take(0.0)["default"], 0.0)
    first = dispatch.take(1.0)["default"]
    for one in first:
        start(world, dispatch, one)
    second = dispatch.take(1.0)["default"]
    assert len(second) == 2 * len(first)
    give_back(dispatch, second, 1.0)
    assert dispatch.take(1.0) == {}
    end(world, dispatch, first[0])
    assert dispatch.take(1.0)["default"][0] == second[0]


def test_the_time_that_a_rate_tells_is_waited_for_whoever_ends() -> None:
    world, dispatch = world_of(20)
    give_back(dispatch, dispatch.take(0.0)["default"], 0.0)
    running, *others = dispatch.take(1.0)["default"]
    start(world, dispatch, running)
    give_back(dispatch, others, 1.0, wait_ms=3000)
    end(world, dispatch, running)
    assert dispatch.take(3.9) == {} and dispatch.take(4.1)["default"]


def test_an_hour_s_rate_is_asked_about_again_after_a_while_for_it_may_be_another_one_by_then() -> None:
    _, dispatch = world_of(1)
    give_back(dispatch, dispatch.take(0.0)["default"], 0.0, wait_ms=3_600_000)
    assert dispatch.opens_in(0.0) == LONGEST_WAIT


def test_tenants_take_turns_under_a_limit_too() -> None:
    world, dispatch = world_of(50, window=50)
    dispatch.take_back_limited([(one, "queue:default", 0) for one in dispatch.take(0.0)["default"]], 0.0)
    world.when(submit(command_id="single", tenant="zoo"))
    assert dispatch.take(0.1) == {}
    assert "zoo" in tenants(world, dispatch.take(1.0)["default"][:2])


def test_what_ended_meanwhile_is_not_offered_and_the_limit_is_forgotten() -> None:
    world, dispatch = world_of(2)
    first, second = dispatch.take(0.0)["default"]
    give_back(dispatch, [first, second], 0.0)
    for one in (first, second):
        draft = world.draft()
        draft.include([Cancelled(one, "asked")])
        world.append(draft)
        dispatch.settle(draft.events)
    assert dispatch.take(1.0) == {}
    dispatch.open(FORGOTTEN + 1)
    assert not dispatch.limited


def test_what_is_not_offered_any_more_takes_up_no_room_under_its_limit() -> None:
    world, dispatch = world_of(20)
    give_back(dispatch, dispatch.take(0.0)["default"], 0.0)
    (reached,) = dispatch.limited.limits.values()
    back, unsent, started, _ = dispatch.take(1.0)["default"]
    assert reached.outstanding == 4
    dispatch.take_back([(back, "no_slot")], 1.0)
    dispatch.unsent([unsent])
    start(world, dispatch, started)
    assert reached.outstanding == 1
    del world.partition.executions[next(iter(dispatch.offered))]  # folded from what another appended
    dispatch.folded_again()
    assert reached.outstanding == 0


def test_a_late_return_of_what_started_changes_nothing() -> None:
    world, dispatch = world_of(1)
    (one,) = dispatch.take(0.0)["default"]
    start(world, dispatch, one)
    give_back(dispatch, [one], 1.0)
    assert not dispatch.limited.limits
