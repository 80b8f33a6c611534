"""What no worker has the code for: out of the way, tried now and then, taken by the first that has it, given up after a grace."""

from ledger.core.executing import decide
from ledger.core.execution import Active, Completed, Ended, GiveUp, Skipped, Waiting
from ledger.core.ids import ExecutionId, Micros
from ledger.core.pause import Paused, Pauses, Span
from processors.control.dispatch import Dispatch
from processors.control.held import Held
from processors.control.unfit import FIRST_PAUSE, LONGEST_PAUSE, Unfit
from processors.control.windows import PAUSE
from tests.unit.control.test_rules import start
from tests.unit.core.test_partition import NOON, World, submit

GRACE = 60.0


def end(world: World, dispatch: Dispatch, execution_id: ExecutionId) -> None:
    draft = world.draft()
    draft.include([Completed(execution_id, 1)])
    world.append(draft)
    dispatch.settle(draft.events)


def returned(count: int, *, at: float = 0.0, reason: str = "newer_version") -> tuple[World, Dispatch, list[ExecutionId]]:
    """So many executions that a worker gave back."""
    world = World()
    world.when(*(submit(command_id=f"c{n}") for n in range(count)))
    dispatch = Dispatch(world.partition, 100, unfit=Unfit(GRACE))
    offered = dispatch.take(at).get("default", [])
    dispatch.take_back([(execution_id, reason) for execution_id in offered], at)
    return world, dispatch, offered


def test_it_leaves_its_place_to_others_and_the_window_stays_as_it_is() -> None:
    world, dispatch, _ = returned(100)
    assert dispatch.take(0.0) == {}
    assert (dispatch.windows["default"].size, dispatch.windows["default"].outstanding) == (100, 0)
    world.when(submit(command_id="other"))
    assert len(dispatch.take(0.0)["default"]) == 1


def test_one_of_a_version_is_tried_again_ever_more_rarely() -> None:
    _, dispatch, offered = returned(5, reason="no_handler")
    now, tried = 0.0, []
    for _ in range(8):
        again = next(pause for pause in (step / 10 for step in range(1, 100)) if dispatch.take(now + pause))
        assert len(dispatch.offered) == 1
        now += again
        tried.append(round(again, 1))
        dispatch.take_back([(next(iter(dispatch.offered)), "no_handler")], now)
    assert tried[0] == FIRST_PAUSE and tried == sorted(tried) and tried[-1] == LONGEST_PAUSE
    assert len(offered) == 5


def test_when_a_worker_starts_one_the_others_of_its_version_are_offered_in_their_order() -> None:
    world, dispatch, offered = returned(4)
    (tried,) = dispatch.take(1.0)["default"]
    start(world, dispatch, tried)
    assert dispatch.take(1.0)["default"] == [one for one in offered if one != tried]
    assert not dispatch.unfit


def test_after_the_grace_the_next_return_gives_all_up_that_waited_so_long() -> None:
    world, dispatch, offered = returned(3)
    (tried,) = dispatch.take(1.0)["default"]
    world.when(submit(command_id="late"))
    (late,) = dispatch.take(GRACE - 1)["default"]
    dispatch.take_back([(late, "newer_version")], GRACE - 1)
    assert dispatch.unfit.hopeless == {}
    dispatch.take_back([(tried, "newer_version")], GRACE)
    assert set(dispatch.unfit.hopeless) == set(offered)
    for execution_id, token in dispatch.unfit.hopeless.items():
        (event,) = decide(GiveUp(execution_id, token, GRACE), world.partition.executions[execution_id], Micros(NOON))
        assert isinstance(event, Skipped) and event.reason == "no_worker_for_version"
        assert "60 s" in (event.detail or "") and "version 1 of noop" in (event.detail or "")


def test_while_no_worker_says_that_it_cannot_nothing_is_given_up() -> None:
    _, dispatch, _ = returned(2)
    assert dispatch.take(10 * GRACE)["default"]
    assert dispatch.take(20 * GRACE) == {}
    assert dispatch.unfit.hopeless == {}


def test_to_give_up_is_quiet_where_it_started_ended_or_has_another_grant() -> None:
    world, dispatch, (execution_id,) = returned(1)
    waiting = world.partition.executions[execution_id]
    assert isinstance(waiting, Waiting)
    at = Micros(world.partition.head.at)
    give_up = GiveUp(execution_id, waiting.token, GRACE)
    draft = world.draft()
    draft.include(decide(give_up, waiting, at))
    world.append(draft)
    dispatch.settle(draft.events)
    assert isinstance(world.partition.executions[execution_id], Ended) and not dispatch.unfit
    assert decide(give_up, world.partition.executions[execution_id], at) == []
    assert decide(GiveUp(execution_id, waiting.token, GRACE), Active(waiting.request, waiting.token, "ada", 1), at) == []  # type: ignore[arg-type]
    assert decide(give_up, None, at) == []


def test_what_ended_unseen_is_not_tried() -> None:
    world, dispatch, (first, second) = returned(2)
    del world.partition.executions[first]  # folded from what another appended
    assert dispatch.take(1.0)["default"] == [second]


def test_what_is_paused_is_not_tried_in_place_of_what_is_not() -> None:
    world, pauses = World(), Pauses()
    world.when(submit(command_id="c0", tenant="acme"), submit(command_id="c1", tenant="zoo"))
    dispatch = Dispatch(world.partition, 100, unfit=Unfit(GRACE), held=Held(world.partition, pauses))
    acme, zoo = sorted(dispatch.take(0.0)["default"], key=list(world.partition.executions).index)
    dispatch.take_back([(acme, "newer_version"), (zoo, "newer_version")], 0.0)
    pauses.standing[Paused("tenant", "acme")] = Span(NOON)
    assert dispatch.take(1.0)["default"] == [zoo]
    assert dispatch.take(9.0) == {}, "it is at the workers still"
    dispatch.take_back([(zoo, "newer_version")], 20.0)
    pauses.standing[Paused("tenant", "zoo")] = Span(NOON)
    assert dispatch.take(30.0) == {}
    del pauses.standing[Paused("tenant", "acme")]
    assert dispatch.take(31.0)["default"] == [acme]


def test_what_no_worker_here_knows_waits_however_long() -> None:
    _, dispatch, (execution_id,) = returned(1, reason="no_handler")
    for now in (GRACE + 1, 2 * GRACE, 20 * GRACE):
        assert dispatch.take(now)["default"] == [execution_id]
        dispatch.take_back([(execution_id, "no_handler")], now)
        assert not dispatch.unfit.hopeless


def test_the_grace_of_a_version_counts_from_when_it_was_first_called_too_new() -> None:
    _, dispatch, (execution_id,) = returned(1, reason="no_handler")
    for now, hopeless in ((10 * GRACE, False), (11 * GRACE - 1, False), (11 * GRACE, True)):
        dispatch.take(now)
        dispatch.take_back([(execution_id, "newer_version")], now)
        assert (execution_id in dispatch.unfit.hopeless) is hopeless


def paused_world() -> tuple[World, Dispatch, Pauses, ExecutionId, ExecutionId]:
    world, pauses = World(), Pauses()
    world.when(submit(command_id="c0", tenant="acme"), submit(command_id="c1", tenant="zoo"))
    dispatch = Dispatch(world.partition, 100, unfit=Unfit(GRACE), held=Held(world.partition, pauses))
    acme, zoo = sorted(dispatch.take(0.0)["default"], key=list(world.partition.executions).index)
    dispatch.take_back([(acme, "newer_version"), (zoo, "newer_version")], 0.0)
    return world, dispatch, pauses, acme, zoo


def test_what_is_paused_when_its_grace_ends_is_not_given_up_and_its_grace_begins_anew() -> None:
    _, dispatch, pauses, acme, zoo = paused_world()
    pauses.standing[Paused("tenant", "acme")] = Span(NOON)
    assert dispatch.take(1.0)["default"] == [zoo]
    dispatch.take_back([(zoo, "newer_version")], GRACE)
    assert [execution_id for execution_id, _ in dispatch.hopeless(GRACE)] == [zoo]
    pauses.standing.clear()
    for now, hopeless in ((2 * GRACE - 1, {zoo}), (2 * GRACE, {zoo, acme})):
        assert dispatch.take(now)["default"] == [acme]
        dispatch.take_back([(acme, "newer_version")], now)
        assert {execution_id for execution_id, _ in dispatch.hopeless(now)} == hopeless


def test_what_is_paused_between_the_end_of_its_grace_and_its_skip_waits_on() -> None:
    _, dispatch, pauses, acme, zoo = paused_world()
    dispatch.take(GRACE)
    dispatch.take_back([(next(iter(dispatch.offered)), "newer_version")], GRACE)
    assert {execution_id for execution_id, _ in dispatch.hopeless(GRACE)} == {acme, zoo}
    pauses.standing[Paused("tenant", "acme")] = Span(NOON)
    assert [execution_id for execution_id, _ in dispatch.hopeless(GRACE)] == [zoo]
    pauses.standing.clear()
    assert dispatch.take(GRACE + 1)["default"] == [acme]


def test_what_waits_for_room_when_its_tenant_is_paused_is_offered_once_after_the_resume() -> None:
    """It was to be tried, and the window was paused: it stands in line for that, and comes again as one to be tried."""
    world, dispatch, pauses, acme, zoo = paused_world()
    dispatch.windows["default"].paused_until = 1.0
    assert dispatch.take(FIRST_PAUSE) == {}
    pauses.standing[Paused("tenant", "acme")] = Span(NOON)
    assert dispatch.take(1.0)["default"] == [zoo]
    dispatch.take_back([(zoo, "newer_version")], 1.0)
    pauses.standing.clear()
    assert dispatch.take(9.0)["default"] == [acme]
    assert (dispatch.windows["default"].outstanding, set(dispatch.offered)) == (1, {acme})
    start(world, dispatch, acme)
    assert (dispatch.take(9.0)["default"], dispatch.windows["default"].outstanding) == ([zoo], 1)


def test_a_paused_window_opens_when_an_attempt_ends_and_not_when_something_is_wanted_or_starts() -> None:
    world = World()
    world.when(*(submit(command_id=f"c{n}") for n in range(3)))
    dispatch = Dispatch(world.partition, 2)
    first, second = dispatch.take(0.0)["default"]
    start(world, dispatch, first)
    dispatch.take_back([(second, "no_slot")], 0.0)
    assert second in dispatch.take(0.0)["default"], "something started, so another worker may have room"
    dispatch.take_back([(second, "no_slot")], 0.0)
    dispatch.settle(world.when(submit(command_id="another")))
    assert dispatch.take(0.1) == {}, "what is wanted frees no slot"
    end(world, dispatch, first)
    assert second in dispatch.take(0.1)["default"]


def test_a_pause_that_has_passed_is_over() -> None:
    _, dispatch, _ = returned(1, reason="no_slot")
    assert dispatch.opens_in(0.0) == PAUSE
    assert not dispatch.open(PAUSE / 2)
    assert dispatch.opens_in(PAUSE) == 0.0
    assert dispatch.open(PAUSE)
    assert dispatch.opens_in(PAUSE) is None and not dispatch.open(PAUSE)


def test_what_is_for_any_handler_is_not_taken_for_what_needs_a_newer_one() -> None:
    """Of one handler a user's version 3 may be a number of its content, and another job's was given by hand."""
    world = World()
    world.when(submit(command_id="by-content"), submit(command_id="by-hand"))
    any_handler, newer = list(world.partition.executions)
    dispatch = Dispatch(world.partition, 100, unfit=Unfit(GRACE), by_content=lambda one: one.execution_id == any_handler)
    dispatch.take(0.0)
    dispatch.take_back([(any_handler, "no_handler"), (newer, "newer_version")], 0.0)
    assert set(dispatch.take(1.0)["default"]) == {any_handler, newer}  # each kind is tried
    dispatch.take_back([(any_handler, "no_handler"), (newer, "newer_version")], GRACE + 1)
    assert [one for one, _ in dispatch.hopeless(GRACE + 1)] == [newer]
