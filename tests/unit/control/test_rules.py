"""Rules of control without I/O: offers and the re-offer rule, the rescuer, the broker's clock, the watchdog."""

import pytest
from structlog.testing import capture_logs

from ledger.core.execution import Active, ReportRefused, Started
from ledger.core.ids import ExecutionId, Token, WorkerId
from processors.broker_clock import BrokerClock
from processors.control.dispatch import QUIET, Dispatch
from processors.control.offering import into_records, offer_of
from processors.control.rescue import Rescuer
from processors.control.windows import LEAST_WINDOW, PAUSE
from processors.watchdog import Limits, Watchdog
from tests.unit.core.test_partition import NOON, SECOND, World, submit

ADA = WorkerId("ada")


def waiting(count: int, window: int = 100) -> tuple[World, Dispatch]:
    world = World()
    world.when(*(submit(command_id=f"c{n}") for n in range(count)))
    return world, Dispatch(world.partition, window)


def start(world: World, dispatch: Dispatch, execution_id: ExecutionId) -> None:
    event = Started(execution_id, 1, dispatch.offered[execution_id].token, ADA)
    draft = world.draft()
    draft.include([event])
    world.append(draft)
    dispatch.settle([event])


def test_only_a_window_of_offers_is_outstanding_and_starts_make_room() -> None:
    world, dispatch = waiting(10, window=4)
    offered = dispatch.take(0.0)["default"]
    assert len(offered) == 4 and dispatch.take(0.0) == {}
    start(world, dispatch, offered[0])
    assert len(dispatch.take(0.0)["default"]) == 1


def test_what_was_offered_and_passed_is_offered_again_after_a_quiet_while() -> None:
    _, dispatch = waiting(1)
    (execution_id,) = dispatch.take(0.0)["default"]
    dispatch.placed([execution_id], 2, 7)
    assert dispatch.heal({"default": {2: 7}}, 100.0) == {}  # the group stands before the record: a timer alone re-offers nothing
    assert dispatch.heal({"default": {2: 8}}, 100.0) == {}
    assert dispatch.heal({"default": {2: 8}}, 100.0 + QUIET) == {"default": [execution_id]}
    assert dispatch.heal({"default": {2: 8}}, 100.0 + 2 * QUIET) == {}  # its new record is not acknowledged yet


def test_while_commands_wait_to_be_decided_that_no_start_was_decided_says_nothing() -> None:
    _, dispatch = waiting(1)
    (execution_id,) = dispatch.take(0.0)["default"]
    dispatch.placed([execution_id], 2, 7)
    assert dispatch.heal({"default": {2: 8}}, 100.0, heard=95.0) == {}
    assert dispatch.heal({"default": {2: 8}}, 100.0 + 9 * QUIET, heard=99.0 + QUIET) == {}
    assert dispatch.heal({"default": {2: 8}}, 100.0 + 9 * QUIET, heard=100.0 + QUIET) == {"default": [execution_id]}


def test_a_new_owner_hears_what_was_said_to_its_predecessor_before_it_offers_again() -> None:
    _, dispatch = waiting(3)
    dispatch.begin(lambda queue: {0: 5})
    dispatch.heal({"default": {0: 5}}, 1.0, heard=0.0)
    dispatch.heal({"default": {0: 5}}, 9.0, heard=0.9 + QUIET)
    assert dispatch.take(9.0) == {}
    dispatch.heal({"default": {0: 5}}, 9.0, heard=1.0 + QUIET)
    assert len(dispatch.take(9.0)["default"]) == 3


def test_the_grant_of_a_re_offer_is_the_same_token() -> None:
    world, dispatch = waiting(1)
    (execution_id,) = dispatch.take(0.0)["default"]
    first, again = (offer_of(world.partition, world.registry, execution_id) for _ in range(2))
    assert first == again and first is not None and first.token == dispatch.offered[execution_id].token


def test_a_re_offer_says_how_often_its_grant_was_offered_again() -> None:
    world, dispatch = waiting(1)
    (execution_id,) = dispatch.take(0.0)["default"]
    said = [dispatch.times_again(execution_id)]
    for nth in (1, 2):
        dispatch.placed([execution_id], 0, nth)
        dispatch.heal({"default": {0: 9}}, 100.0 * nth)
        dispatch.heal({"default": {0: 9}}, 100.0 * nth + QUIET)
        said.append(dispatch.times_again(execution_id))
    assert said == [0, 1, 2]
    offer = offer_of(world.partition, world.registry, execution_id, said[-1])
    assert offer is not None and offer.again == 2
    start(world, dispatch, execution_id)
    assert dispatch.again == {}


def test_an_offer_that_was_given_back_or_maybe_not_sent_is_no_re_offer() -> None:
    _, dispatch = waiting(2)
    returned, unsent = dispatch.take(0.0)["default"]
    dispatch.take_back([(returned, "draining")], 1.0)
    dispatch.unsent([unsent])
    assert {dispatch.times_again(one) for one in dispatch.take(2.0)["default"]} == {0}


def test_what_a_former_owner_may_have_offered_is_a_re_offer_and_what_comes_later_is_not() -> None:
    world, dispatch = waiting(1)
    dispatch.begin(lambda queue: {})
    world.when(submit(command_id="later"))
    dispatch.heal({"default": {}}, 1.0)
    old, new = sorted(dispatch.take(1.0)["default"], key=lambda one: list(world.partition.executions).index(one))
    assert (dispatch.times_again(old), dispatch.times_again(new)) == (1, 0)


def test_a_new_owner_offers_nothing_until_the_runners_have_passed_what_its_predecessor_may_have_offered() -> None:
    _, dispatch = waiting(3)
    dispatch.begin(lambda queue: {0: 5})
    assert dispatch.take(0.0) == {}
    assert dispatch.heal({"default": {0: 4}}, 0.0) == {} and dispatch.take(0.0) == {}
    dispatch.heal({"default": {0: 5}}, 1.0)
    dispatch.heal({"default": {0: 5}}, 1.0 + QUIET)
    assert len(dispatch.take(2.0 + QUIET)["default"]) == 3


def test_what_was_offered_in_a_topic_that_was_made_anew_waits_again() -> None:
    _, dispatch = waiting(1)
    offered = dispatch.take(0.0)["default"]
    dispatch.placed(offered, 2, 7)
    assert dispatch.vanished({"default": {2: 8}}) == dispatch.vanished({}) == []
    assert dispatch.vanished({"default": {2: 7}}) == [], "this look may be older than the ack"
    assert dispatch.vanished({"default": {2: 8}}) == dispatch.vanished({"default": {2: 0}}) == []
    assert dispatch.vanished({"default": {2: 1}}) == offered
    assert dispatch.take(1.0) == {"default": offered}


def test_a_new_owner_does_not_wait_for_the_end_of_a_topic_that_was_made_anew() -> None:
    _, dispatch = waiting(3)
    dispatch.begin(lambda queue: {0: 5, 1: 3})
    dispatch.vanished({"default": {0: 2, 1: 9}})
    dispatch.heal({"default": {0: 2, 1: 3}}, 1.0)
    dispatch.heal({"default": {0: 2, 1: 3}}, 1.0 + QUIET)
    assert len(dispatch.take(2.0 + QUIET)["default"]) == 3


def test_with_an_empty_work_topic_there_is_nothing_to_wait_for() -> None:
    _, dispatch = waiting(3)
    dispatch.begin(lambda queue: {0: 0})
    dispatch.heal({"default": {0: 0}}, 0.0)
    assert len(dispatch.take(0.0)["default"]) == 3


def test_returned_offers_wait_first_in_line_and_the_window_shrinks() -> None:
    _, dispatch = waiting(100, window=100)
    offered = dispatch.take(0.0)["default"]
    dispatch.take_back([(execution_id, "no_slot") for execution_id in offered], 1.0)
    assert dispatch.windows["default"].size == 50 and dispatch.windows["default"].outstanding == 0
    assert dispatch.take(1.0) == {}
    again = dispatch.take(1.0 + PAUSE)["default"]
    assert set(again) <= set(offered) and len(again) == 50
    for second in range(2, 12):
        dispatch.windows["default"].full(float(second))
    assert dispatch.windows["default"].size == LEAST_WINDOW


def test_an_offer_whose_send_is_not_known_waits_again() -> None:
    _, dispatch = waiting(1)
    offered = dispatch.take(0.0)["default"]
    dispatch.unsent(offered)
    assert dispatch.take(0.0)["default"] == offered


def test_what_a_former_worker_says_in_vain_leaves_the_offer_as_it_is() -> None:
    _, dispatch = waiting(1)
    (execution_id,) = dispatch.take(0.0)["default"]
    dispatch.settle([ReportRefused(execution_id, Token(1), ADA, "stale_token")])
    assert set(dispatch.offered) == {execution_id}


def test_records_of_offers_are_bounded() -> None:
    world, _ = waiting(450)
    offers = [offer for execution_id in world.partition.executions if (offer := offer_of(world.partition, world.registry, execution_id))]
    assert [len(record) for record in into_records(offers)] == [200, 200, 50]


def test_a_started_execution_is_not_offered() -> None:
    world, dispatch = waiting(1)
    (execution_id,) = dispatch.take(0.0)["default"]
    start(world, dispatch, execution_id)
    assert isinstance(world.partition.executions[execution_id], Active)
    assert offer_of(world.partition, world.registry, execution_id) is None
    assert Token(0) not in dispatch.offered


# The rescuer: lease of 9 seconds, sampled each second


def test_a_worker_missed_for_a_whole_lease_is_lost() -> None:
    rescuer = Rescuer(9)
    lost = [bool(rescuer.sample({ADA}, set(), float(second))) for second in range(11)]
    assert lost == [False] * 9 + [True, True]


def test_a_worker_that_is_there_or_heard_is_not_lost() -> None:
    rescuer = Rescuer(9)
    for second in range(8):
        rescuer.sample({ADA}, set(), float(second))
    rescuer.heard(ADA, 7.5)
    assert not any(rescuer.sample({ADA}, set(), float(second)) for second in range(8, 16))
    assert rescuer.sample({ADA}, set(), 16.5) == {ADA}
    assert rescuer.sample({ADA}, {ADA}, 17.0) == set()


def test_trouble_with_redis_never_counts() -> None:
    rescuer = Rescuer(9)
    for second in range(8):
        rescuer.sample({ADA}, set(), float(second))
    rescuer.unreachable()
    assert not any(rescuer.sample({ADA}, set(), float(second)) for second in range(9, 18))


def test_a_gap_in_our_own_looking_starts_the_count_again() -> None:
    rescuer = Rescuer(9)
    rescuer.sample({ADA}, set(), 0.0)
    assert rescuer.sample({ADA}, set(), 60.0) == set()
    assert rescuer.sample({ADA}, set(), 62.0) == set()


# The clock


class Clocks:
    def __init__(self) -> None:
        self.wall = NOON
        self.monotonic = 0
        self.clock = BrokerClock(lambda: self.wall, lambda: self.monotonic)

    def pass_(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.monotonic += int(seconds * SECOND)


def test_there_is_no_time_before_the_first_ack() -> None:
    assert Clocks().clock.now() is None


def test_time_is_the_broker_s_and_a_node_s_clock_does_not_matter() -> None:
    clocks = Clocks()
    clocks.wall = NOON + 10 * 366 * 86_400 * SECOND
    clocks.clock.observe(NOON // 1000)
    clocks.pass_(2)
    assert clocks.clock.now() == NOON + 2 * SECOND


def test_a_node_s_clock_that_steps_back_changes_nothing() -> None:
    clocks = Clocks()
    clocks.clock.observe(NOON // 1000)
    clocks.wall -= 3600 * SECOND
    clocks.pass_(1)
    clocks.clock.observe((NOON + SECOND) // 1000)
    assert clocks.clock.now() == NOON + SECOND and clocks.clock.in_doubt is None


@pytest.mark.parametrize("jump", [10 * 366 * 86_400, -3600])
def test_a_broker_time_that_jumps_alone_stops_the_time_and_is_said(jump: int) -> None:
    clocks = Clocks()
    clocks.clock.observe(NOON // 1000)
    clocks.clock.observe((NOON + jump * SECOND) // 1000)
    assert clocks.clock.now() is None and "jumped" in (clocks.clock.in_doubt or "")
    clocks.clock.observe(NOON // 1000)
    assert clocks.clock.now() == NOON and clocks.clock.in_doubt is None


def test_a_machine_that_slept_goes_on_with_the_new_time() -> None:
    clocks = Clocks()
    clocks.clock.observe(NOON // 1000)
    clocks.wall += 3600 * SECOND  # the monotonic clock stood still meanwhile
    clocks.clock.observe((NOON + 3600 * SECOND) // 1000)
    assert clocks.clock.now() == NOON + 3600 * SECOND


def test_that_a_broker_s_clock_was_ahead_and_the_log_has_to_be_waited_for_is_said_once() -> None:
    clocks = Clocks()
    an_hour_ahead = NOON + 3600 * SECOND
    clocks.clock.observe(NOON // 1000, NOON)
    with capture_logs() as said:
        for _ in range(2):  # of the two partitions one was quiet meanwhile
            clocks.pass_(60)
            clocks.clock.observe(clocks.wall // 1000, an_hour_ahead)
            clocks.clock.observe(clocks.wall // 1000, NOON)
        clocks.pass_(3600)
        clocks.clock.observe(clocks.wall // 1000, an_hour_ahead)
    assert [(one["action"], one["seconds"]) for one in said] == [("clock.behind_the_log", 3540.0)]
    assert clocks.clock.in_doubt is None


A_WHILE = 600 * SECOND
YEAR_2099 = 4_070_908_800 * SECOND


@pytest.mark.parametrize(("broker", "wall"), [(YEAR_2099, NOON + A_WHILE), (NOON - A_WHILE, NOON + A_WHILE)])
def test_of_a_new_process_too_the_first_time_has_to_agree_with_the_log_or_the_wall_clock(broker: int, wall: int) -> None:
    clocks = Clocks()
    clocks.wall = wall
    clocks.clock.observe(broker // 1000, NOON)
    assert clocks.clock.now() is None and "last commit" in (clocks.clock.in_doubt or "")
    clocks.clock.observe(wall // 1000, NOON)
    assert clocks.clock.now() == wall and clocks.clock.in_doubt is None


@pytest.mark.parametrize(
    ("broker", "wall"),
    [
        pytest.param(NOON + 30 * SECOND, NOON - 3600 * SECOND, id="soon after the last commit"),
        pytest.param(NOON + A_WHILE, YEAR_2099, id="between the last commit and the wall clock"),
        pytest.param(NOON + A_WHILE, NOON + A_WHILE - 70 * SECOND, id="the wall clock agrees about as well"),
        pytest.param(NOON - A_WHILE, NOON - A_WHILE, id="the wall clock vouches against the log"),
    ],
)
def test_a_first_time_that_is_likely_counts_whatever_the_wall_clock_says(broker: int, wall: int) -> None:
    clocks = Clocks()
    clocks.wall = wall
    clocks.clock.observe(broker // 1000, NOON)
    assert clocks.clock.now() == broker and clocks.clock.in_doubt is None


# The watchdog


def watchdog(*, crashed: bool = False, ready: bool = True, stuck_since: float | None = None) -> tuple[Watchdog, float]:
    dog = Watchdog(crashed=lambda: crashed, ready=lambda: ready, stuck_since=lambda: stuck_since, limits=Limits(90, 20, 120))
    return dog, dog._began


def test_the_watchdog_is_content_with_a_process_that_moves() -> None:
    dog, began = watchdog()
    assert dog.verdict(began + 1) is None


def test_the_watchdog_ends_a_crashed_app_at_once() -> None:
    dog, began = watchdog(crashed=True)
    assert dog.verdict(began) == "Faust crashed"


def test_the_watchdog_ends_a_process_that_is_never_ready() -> None:
    dog, began = watchdog(ready=False)
    assert dog.verdict(began + 89) is None
    assert "not ready" in (dog.verdict(began + 91) or "")


def test_the_watchdog_ends_a_stalled_loop() -> None:
    dog, began = watchdog()
    assert "did not move" in (dog.verdict(began + 21) or "")
