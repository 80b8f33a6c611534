"""Slots: who runs, who waits, and who is given back."""

from ledger.core.limits import Limit, Rate
from ledger.handlers import Handler, Jobs, RunIn
from processors.runner.attempt import Attempt
from processors.runner.gate import BEHIND_SLOW, Gate
from processors.runner.line import PATIENCE
from tests.unit.runner.runner_fakes import attempt_of, offer


def handler(name: str, concurrency: int | None = None, run_in: RunIn | None = None) -> Handler:
    jobs = Jobs()
    jobs.job(name, concurrency=concurrency, run_in=run_in)(lambda: None)
    return jobs.find(name)


QUICK, ONE_AT_A_TIME = handler("quick"), handler("single", 1)


def waiting(gate: Gate, *handlers: Handler, arrived: float = 0.0) -> list[Attempt]:
    attempts = []
    for nth, one in enumerate(handlers):
        attempt = attempt_of(offer(nth, one.name), arrived)
        attempt.handler = one
        assert gate.wait(attempt)
        attempts.append(attempt)
    return attempts


def admit(gate: Gate, most: int = 100) -> list[Attempt]:
    return gate.admit(most, lambda attempt: True)


def looks(gate: Gate, until: float, since: float = 0.0) -> list[Attempt]:
    """Look every 50 ms; those who were given back."""
    steps = range(round(since / 0.05), round(until / 0.05) + 1)
    return [attempt for step in steps for attempt in gate.overdue(step * 0.05)]


def test_those_who_came_first_get_the_slots() -> None:
    gate = Gate(2)
    first, second, third = waiting(gate, QUICK, QUICK, QUICK)
    assert admit(gate) == [first, second]
    assert admit(gate) == []
    gate.leave(first)
    assert admit(gate) == [third]
    assert len(gate) == 0


def test_a_job_at_its_own_limit_does_not_stand_in_the_way_of_others() -> None:
    gate = Gate(10)
    single, second_single, quick = waiting(gate, ONE_AT_A_TIME, ONE_AT_A_TIME, QUICK)
    assert admit(gate) == [single, quick]
    gate.leave(single)
    assert admit(gate) == [second_single]


def test_at_most_so_many_at_once_are_admitted() -> None:
    gate = Gate(10)
    waiting(gate, *[QUICK] * 5)
    assert len(admit(gate, most=3)) == 3


def test_who_is_wanted_no_longer_leaves_without_a_slot() -> None:
    gate = Gate(1)
    old, new = waiting(gate, QUICK, QUICK)
    assert gate.admit(10, lambda attempt: attempt is not old) == [new]
    assert gate.free == 0
    assert len(gate) == 0


def test_there_is_room_for_a_bounded_number_and_a_bounded_size() -> None:
    gate = Gate(1, most_waiting=2)
    waiting(gate, QUICK, QUICK)
    assert not gate.wait(attempt_of(offer(9)))
    heavy = Gate(1, most_bytes=100)
    assert heavy.wait(attempt_of(offer(1, data="x" * 60)))
    assert not heavy.wait(attempt_of(offer(2, data="x" * 60)))
    admit(heavy)
    assert heavy.wait(attempt_of(offer(2, data="x" * 60)))


def test_who_waits_while_no_slot_gets_free_is_given_back() -> None:
    gate = Gate(1)
    running, *others = waiting(gate, QUICK, QUICK, QUICK)
    assert admit(gate) == [running]
    assert looks(gate, PATIENCE) == []
    assert sorted(map(id, looks(gate, 3 * PATIENCE, PATIENCE))) == sorted(map(id, others))
    assert len(gate) == 0


def test_who_came_lately_may_wait_on() -> None:
    gate = Gate(1)
    (running,) = waiting(gate, QUICK)
    admit(gate)
    (early,) = waiting(gate, QUICK)
    (late,) = waiting(gate, QUICK, arrived=3 * PATIENCE)
    assert looks(gate, 3 * PATIENCE) == [early]
    gate.leave(running)
    assert admit(gate) == [late]


def test_a_line_that_moves_fast_keeps_those_it_will_serve_soon() -> None:
    gate = Gate(3)
    running = waiting(gate, *[QUICK] * 10)[:3]
    gate.overdue(0.0)  # a new page begins
    admit(gate)
    for attempt in running:
        gate.leave(attempt)
    assert len(looks(gate, PATIENCE + 0.05)) == 7 - 3


def test_those_of_a_job_at_its_limit_are_given_back_too() -> None:
    gate = Gate(10)
    _, parked = waiting(gate, ONE_AT_A_TIME, ONE_AT_A_TIME)
    admit(gate)
    assert looks(gate, 3 * PATIENCE) == [parked]


def test_who_comes_from_another_line_goes_in_its_own_time_and_takes_nobody_along() -> None:
    gate, limit = Gate(10), Limit("tenant", "acme", rate=Rate(1, 1000))
    (old,) = waiting(gate, ONE_AT_A_TIME)
    old.limits = (limit,)
    admit(gate)
    gate.refuse([(old, limit)])
    gate.close(limit, 0.45, 0.0)
    (running,) = waiting(gate, ONE_AT_A_TIME)
    admit(gate)
    early, late = (waiting(gate, ONE_AT_A_TIME, arrived=arrived)[0] for arrived in (0.2, 0.4))
    admit(gate)
    assert looks(gate, 0.45) == []
    gate.open([limit])
    admit(gate)
    assert looks(gate, 0.5, since=0.5) == [early, old]
    gate.leave(running)
    assert admit(gate) == [late]
    assert len(gate) == 0


def test_a_standstill_of_the_process_itself_is_not_taken_for_a_lack_of_slots() -> None:
    gate = Gate(1)
    waiting(gate, QUICK)
    admit(gate)
    (other,) = waiting(gate, QUICK)
    assert looks(gate, 0.1) == []
    assert looks(gate, 10.0 + PATIENCE - 0.05, since=10.0) == []
    assert looks(gate, 10.0 + 2 * PATIENCE, since=10.0 + PATIENCE) == [other]


def test_all_can_be_sent_away() -> None:
    gate = Gate(1)
    waiting(gate, QUICK, ONE_AT_A_TIME, ONE_AT_A_TIME)
    admit(gate)
    assert len(gate.clear()) == 2
    assert len(gate) == 0


def test_those_that_need_a_process_share_what_there_is_in_turn_and_do_not_stand_in_the_way_of_others() -> None:
    gate = Gate(10, {"process": 2})
    one, other = handler("one", 2, "process"), handler("other", 2, "process")
    waiting(gate, one, one, one, one, other, other, QUICK)
    first, second, quick = admit(gate)
    assert [attempt.offer.job_name for attempt in (first, second, quick)] == ["one", "one", "quick"]
    gate.leave(first)
    (third,) = admit(gate)
    gate.leave(second)
    (fourth,) = admit(gate)
    assert {third.offer.job_name, fourth.offer.job_name} == {"one", "other"}
    assert admit(gate) == []


def test_behind_slow_ones_that_fill_all_slots_only_a_few_wait_and_the_others_go_back_at_once() -> None:
    gate = Gate(2 * BEHIND_SLOW)
    slow, *_ = waiting(gate, *[QUICK] * 2 * BEHIND_SLOW)
    admit(gate)
    waiting(gate, QUICK, arrived=0.0)
    looks(gate, PATIENCE - 0.01)
    waiting(gate, *[QUICK] * 20, arrived=PATIENCE)  # lately a slot was taken, so it may go on like that
    looks(gate, 4 * PATIENCE, since=PATIENCE)
    assert len(gate) == 0
    accepted = [gate.wait(attempt_of(offer(nth), 1.0)) for nth in range(8)]
    assert accepted == [True] * 3 + [False] * 5
    gate.leave(slow)
    assert gate.wait(attempt_of(offer(99), 1.0))
