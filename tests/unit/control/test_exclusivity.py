"""One at a time under a key: given jobs and submits of one partition, when executions start, end or are cancelled, then who is next.

See scheduling.md, section 1.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core import execution, request, tick
from ledger.core.definition import Register, Scope
from ledger.core.execution import Active, Blocked, Buffered, Completed, Delayed, Due, Report, Requested, Skipped, Started, Waiting
from ledger.core.ids import Address, ExecutionId, WorkerId
from ledger.core.options import Busy, Options
from ledger.core.orders import Order
from ledger.core.outcome import Answer, Rejected
from ledger.core.partition import Partition
from tests.unit.control.home import NOON, SECOND, WORKER, Home, fired

KEY = "key:sync:acme"


def world() -> Home:
    """`sync` runs one at a time per key; `beat` and `sync` know no other limit."""
    home = Home()
    home.ask(Register(home.name(), "sync", "sync", "on_demand", "default", 1, "h", exclusive_scope="key"))
    return home


def submit(home: Home, busy: Busy | None = None, key: str = "acme", **more: object) -> request.Submit:
    options = None if busy is None else Options(busy=busy)
    return request.Submit(home.name(), "sync", exclusive_key=key, options=options, **more)  # type: ignore[arg-type]  # by name


def asked(home: Home, *busy: Busy | None) -> list[ExecutionId]:
    return [one for policy in busy for one in fired(home.send(submit(home, policy)))]


def waiting(home: Home) -> list[ExecutionId]:
    """Who may run."""
    return [one for one, state in home.partition.executions.items() if isinstance(state, Waiting | Active)]


# a key for a job that has none


@pytest.mark.parametrize(
    ("scope", "words"), [("none", "is not exclusive"), ("job", "is exclusive by job"), ("tenant", "is exclusive by tenant")]
)
def test_a_key_that_nothing_would_wait_for_is_refused(scope: Scope, words: str) -> None:
    home = world()
    home.ask(Register(home.name(), "other", "other", "on_demand", "default", 1, "h", exclusive_scope=scope))
    [refused] = home.send(request.Submit(home.name(), "other", exclusive_key="acme"))
    assert isinstance(refused, Rejected) and refused.reason == "invalid"
    assert f"by key alone, and other {words}" in refused.detail
    assert home.partition.executions == {}


def test_what_was_accepted_before_is_answered_again_and_not_refused() -> None:
    home = world()
    name = home.name()
    [one] = fired(home.send(request.Submit(name, "beat")))
    assert home.send(request.Submit(name, "beat", exclusive_key="acme", answer="me")) == []
    answer = home.answers[-1]
    assert isinstance(answer, Answer) and answer.execution_id == one


# wait


def test_who_comes_while_the_key_is_held_waits_in_line_and_is_due_when_the_holder_ends() -> None:
    home = world()
    first, second, third = asked(home, None, "wait", None)
    assert home.partition.executions[second] == Buffered(_request(home, second), since=_since(home, second))
    assert _request(home, second).blocked_by == first
    assert waiting(home) == [first]
    assert home.report(first)[-1] == Due(second)
    assert waiting(home) == [second]
    assert home.report(second)[-1] == Due(third)
    assert [type(event) for event in home.report(third)] == [Started, Completed]
    assert home.partition.holders == {} and home.partition.buffered == {}


def test_other_keys_do_not_wait() -> None:
    home = world()
    home.send(submit(home), submit(home, key="quux"))
    assert len(waiting(home)) == 2


@pytest.mark.parametrize("outcome", ["failed", "timed_out"])
def test_a_retry_keeps_its_place_at_the_head_of_the_line(outcome: str) -> None:
    home = world()
    first, second = asked(home, None, None)
    home.start(first)
    home.report(first, outcome, retry_after_ms=60_000)
    assert waiting(home) == []
    home.act(NOON + 60 * SECOND)
    assert waiting(home) == [first]
    assert home.report(first, outcome)[-1] == Due(second)


def test_a_snooze_keeps_it_too() -> None:
    home = world()
    first, _ = asked(home, None, None)
    home.report(first, "snoozed", retry_after_ms=1000)
    assert waiting(home) == []
    assert home.act(NOON + SECOND) == [Due(first)]


def test_a_delayed_submit_is_not_in_line_before_its_time_and_queues_then() -> None:
    home = world()
    (later,) = fired(home.send(submit(home, delay_ms=1000)))
    first, second = asked(home, None, None)
    assert waiting(home) == [first]
    assert home.act(NOON + SECOND) == [Blocked(later, first)]
    assert home.report(first)[-1] == Due(second)
    assert home.report(second)[-1] == Due(later)


def test_a_delayed_submit_runs_at_its_time_if_the_key_is_free() -> None:
    home = world()
    (later,) = fired(home.send(submit(home, delay_ms=1000)))
    assert home.act(NOON + SECOND) == [Due(later)]


def test_of_what_is_due_in_one_moment_one_is_first() -> None:
    home = world()
    names = [fired(home.send(submit(home, delay_ms=1000)))[0] for _ in range(3)]
    events = home.act(NOON + SECOND)
    assert sorted(type(event).__name__ for event in events) == ["Blocked", "Blocked", "Due"]
    assert len(waiting(home)) == 1 and set(waiting(home)) < set(names)


def test_a_cancelled_holder_lets_the_next_one_go() -> None:
    home = world()
    first, second = asked(home, None, None)
    draft = home.draft()
    assert draft.include(draft.decide_loss(execution.Lose(first, WORKER, 3))) and draft.events == []
    home.start(first)
    home.now += SECOND
    draft = home.draft()
    draft.include(draft.decide_loss(execution.Lose(first, WORKER, 1)))
    assert draft.events[-1] == Due(second)


def test_a_start_deadline_that_passes_in_line_frees_nothing_and_one_at_its_head_does() -> None:
    home = world()
    (first,) = fired(home.send(submit(home)))
    hasty = [
        fired(home.send(request.Submit(home.name(), "sync", exclusive_key="acme", options=Options(start_deadline_ms=ms))))[0]
        for ms in (1000, 9000)
    ]
    events = home.act(NOON + SECOND)
    assert [type(event) for event in events] == [execution.Missed]
    assert home.report(first)[-1] == Due(hasty[1])
    (last,) = asked(home, None)
    assert home.act(NOON + 9 * SECOND) == [execution.Missed(hasty[1], "start_deadline"), Due(last)]


# skip


def test_busy_skip_leaves_an_execution_that_says_so() -> None:
    home = world()
    (first,) = asked(home, "skip")
    requested, skipped = home.send(submit(home, "skip"))
    assert isinstance(requested, Requested) and isinstance(skipped, Skipped)
    assert (skipped.reason, skipped.detail) == ("busy", f"{first} held its exclusivity key")
    assert home.report(first)[-1] == Completed(first, 1)
    assert len(asked(home, "skip")) == 1 and len(waiting(home)) == 1


def test_busy_skip_is_judged_when_a_delay_is_over() -> None:
    home = world()
    (later,) = fired(home.send(submit(home, "skip", delay_ms=1000)))
    asked(home, None)
    (skipped,) = home.act(NOON + SECOND)
    assert isinstance(skipped, Skipped) and (skipped.execution_id, skipped.reason) == (later, "busy")


# keep_last


def test_keep_last_runs_one_and_keeps_the_newest_of_those_who_wait() -> None:
    home = world()
    (first,) = asked(home, "keep_last")
    home.start(first)
    (second,) = asked(home, "keep_last")
    replaced, third = home.send(submit(home, "keep_last"))
    assert isinstance(replaced, Skipped) and isinstance(third, Requested)
    assert (replaced.execution_id, replaced.reason, replaced.detail) == (second, "replaced", f"{third.execution_id} came after it")
    assert home.report(first)[-1] == Due(third.execution_id)


def test_keep_last_replaces_a_holder_that_has_not_begun_and_its_start_is_refused() -> None:
    home = world()
    (first,) = asked(home, "keep_last")
    granted = home.partition.executions[first]
    assert isinstance(granted, Waiting)
    replaced, second = home.send(submit(home, "keep_last"))
    assert isinstance(replaced, Skipped) and isinstance(second, Requested) and second.blocked_by is None
    (refused,) = home.send(Report(first, granted.token, WORKER, answer="here"))
    assert isinstance(refused, execution.ReportRefused) and home.answers == []


# Several jobs under one key, ticks and runs by hand

DAYS_MS = 300 * 86_400_000


def two_jobs(**spec: object) -> Home:
    home = Home()
    for job_id in ("beat:1", "beat:2"):
        home.schedule(job_id, tenant="acme", **spec)
    home.act()
    return home


def test_jobs_of_one_handler_and_tenant_take_turns() -> None:
    home = two_jobs()
    first, second = fired(home.act(NOON + SECOND))
    assert waiting(home) == [first]
    assert home.report(first)[-1] == Due(second)


def test_ticks_of_one_moment_queue_behind_each_other() -> None:
    home = Home()
    home.schedule(overlap="allow_all", coalesce="all")
    home.act()
    first, second, third = fired(home.act(NOON + 3 * SECOND))
    assert waiting(home) == [first]
    assert home.report(first)[-1] == Due(second)
    assert home.report(second)[-1] == Due(third)


def test_a_tick_that_does_not_wait_for_another_job_is_skipped_as_busy() -> None:
    home = Home()
    home.schedule("beat:1", tenant="acme")
    home.schedule("beat:2", tenant="acme", options=Options(busy="skip"))
    home.act()
    events = home.act(NOON + SECOND)
    (first,) = fired(events)
    (skipped,) = (event for event in events if isinstance(event, tick.Skipped))
    assert (skipped.job_id, skipped.reason, skipped.because_of) == ("beat:2", "busy", first)


def test_cancel_other_lets_another_job_that_waited_before_go_first() -> None:
    home = two_jobs(overlap="cancel_other")
    first, second = fired(home.act(NOON + SECOND))
    events = home.act(NOON + 2 * SECOND)
    cancelled = [event.execution_id for event in events if isinstance(event, execution.Cancelled)]
    assert cancelled[0] == first and len(waiting(home)) == 1
    assert second in cancelled or waiting(home) == [second]
    while holder := waiting(home):
        home.report(holder[0])
    assert home.partition.holders == {} and home.partition.buffered == {}


def test_cancel_other_leaves_what_another_job_waits_for_alone() -> None:
    home = Home()
    home.schedule(tenant="acme", overlap="cancel_other")
    home.schedule("rare", tenant="acme", every_ms=DAYS_MS)
    home.act()
    (first,) = fired(home.act(NOON + SECOND))
    (other,) = fired(home.send(request.RunNow(home.name(), "rare")))
    events = home.act(NOON + 3 * SECOND)  # two ticks in one decision: the first lets the other job go, the second has to leave it
    one, two = fired(events)
    assert [event.execution_id for event in events if isinstance(event, execution.Cancelled)] == [first, one]
    assert waiting(home) == [other] and list(home.partition.buffered["tenant:beat:acme"]) == [two]


def test_nothing_is_cancelled_for_a_tick_that_would_find_another_job_next() -> None:
    home = Home()
    home.schedule(tenant="acme", overlap="cancel_other", options=Options(busy="skip"))
    home.schedule("rare", tenant="acme", every_ms=DAYS_MS)
    home.act()
    (first,) = fired(home.act(NOON + SECOND))
    (other,) = fired(home.send(request.RunNow(home.name(), "rare")))
    (skipped,) = home.act(NOON + 2 * SECOND)
    assert isinstance(skipped, tick.Skipped) and (skipped.reason, skipped.because_of) == ("busy", other)
    assert waiting(home) == [first]


def test_who_gave_way_stands_in_line_once() -> None:
    home = Home()
    home.schedule("last", tenant="acme", every_ms=DAYS_MS, options=Options(busy="keep_last"))
    home.schedule("rare", tenant="acme", every_ms=DAYS_MS)
    home.act()
    (holder,) = fired(home.send(request.RunNow(home.name(), "rare")))
    home.start(holder)
    (line,) = fired(home.send(request.RunNow(home.name(), "last")))
    end = Report(holder, home.partition.executions[holder].token, WORKER, outcome="completed")  # type: ignore[union-attr]  # it runs
    before = request.RunNow(home.name(), "rare", ignore_pause=True)
    events = home.send(end, before, request.RunNow(home.name(), "last"))
    gone = [event for event in events if getattr(event, "execution_id", None) == line]
    assert [type(event) for event in gone] == [Due, Blocked, Skipped]
    first, newest = fired(events)
    assert waiting(home) == [first] and list(home.partition.buffered["tenant:beat:acme"]) == [newest]


def test_terminate_other_waits_under_exclusivity_until_the_code_has_ended() -> None:
    home = Home()
    home.schedule(overlap="terminate_other")
    home.act()
    (first,) = fired(home.act(NOON + SECOND))
    home.start(first)
    events = home.act(NOON + 2 * SECOND)
    assert [type(event) for event in events] == [execution.CancelRequested, Requested]
    (second,) = fired(events)
    assert waiting(home) == [first]
    cancelled, due = home.report(first, "cancelled")
    assert isinstance(cancelled, execution.Cancelled) and cancelled.reason == "terminate_other" and due == Due(second)
    assert home.report(second)[-1] == Completed(second, 1)


def test_a_run_that_ignores_the_pause_goes_before_a_holder_that_has_not_begun() -> None:
    home = Home()
    home.schedule()
    home.act()
    (held,) = fired(home.act(NOON + SECOND))
    blocked, urgent = home.send(request.RunNow(home.name(), "beat:1", ignore_pause=True))
    assert isinstance(urgent, Requested) and blocked == Blocked(held, urgent.execution_id)
    (third,) = fired(home.send(request.RunNow(home.name(), "beat:1")))
    home.restart(from_snapshot=True)
    assert home.report(urgent.execution_id)[-1] == Due(held)
    assert home.report(held)[-1] == Due(third)


def test_a_backfill_queues_its_executions() -> None:
    home = Home()
    home.schedule(every_ms=60_000)
    home.act()
    events = home.send(request.Backfill(home.name(), "beat:1", "b", NOON - 180 * SECOND, NOON))  # type: ignore[arg-type]  # plain numbers
    names = fired(events)
    assert len(names) == 3 and waiting(home) == [names[0]]


# Starts


def test_an_exclusive_start_is_answered_once_it_is_in_the_log_and_again_when_asked_again() -> None:
    home = world()
    (first,) = asked(home, None)
    granted = home.partition.executions[first]
    assert isinstance(granted, Waiting)
    start = Report(first, granted.token, WORKER, answer="orders:w")
    assert [type(event) for event in home.send(start)] == [Started]
    assert home.answers == [Order(first, "accepted", granted.token)]
    home.answers = []
    assert home.send(start) == []
    assert home.answers == [Order(first, "accepted", granted.token)]
    other = Report(first, granted.token, WorkerId("other"), answer="orders:other")
    (refused,) = home.send(other)
    assert isinstance(refused, execution.ReportRefused)


def test_a_start_after_a_restart_is_answered_as_well() -> None:
    home = world()
    (first,) = asked(home, None)
    home.start(first)
    home.restart()
    state = home.partition.executions[first]
    assert isinstance(state, Active)
    assert home.send(Report(first, state.token, WORKER, answer="orders:w")) == []
    assert home.answers == [Order(first, "accepted", state.token)]


# What holds whatever happens


Act = tuple[str, int, int]
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "later", "report", "start", "fail", "clock", "restart", "run"]), st.integers(0, 5), st.integers(0, 2)
    ),
    max_size=40,
)
POLICIES: Sequence[Busy] = ("wait", "skip", "keep_last")


@settings(deadline=None, max_examples=150)
@given(ACTS)
def test_at_most_one_holds_a_key_nobody_waits_for_a_free_one_and_a_restart_changes_nothing(acts: list[Act]) -> None:
    home = world()
    home.schedule(every_ms=5000, overlap="allow_all")
    for kind, number, policy in acts:
        live = waiting(home)
        chosen = live[number % len(live)] if live else None
        match kind:
            case "submit":
                home.send(submit(home, POLICIES[policy], "abc"[number % 2]))
            case "later":
                home.send(submit(home, POLICIES[policy], "abc"[number % 2], delay_ms=1000 * number))
            case "run":
                home.send(
                    request.RunNow(
                        home.name(), "beat:1", overlap=("allow_all", "cancel_other", "terminate_other")[policy], ignore_pause=number == 0
                    )
                )
            case "clock":
                home.act(home.now + number * SECOND)
            case "restart":
                home.restart(from_snapshot=policy == 0)
            case "start" if chosen is not None and isinstance(home.partition.executions[chosen], Waiting):
                home.start(chosen)
            case "report" if chosen is not None:
                home.report(chosen)
            case "fail" if chosen is not None:
                home.report(chosen, "failed", retry_after_ms=1000 * policy)
        check(home.partition)
    again = Partition(0, remembered=5000)
    for offset, record in enumerate(home.log):
        again.feed(record, offset)
    assert (again.holders, again.buffered) == (home.partition.holders, home.partition.buffered)
    assert {name: list(line) for name, line in again.buffered.items()} == {
        name: list(line) for name, line in home.partition.buffered.items()
    }
    home.act(home.now + 10 * SECOND)
    for _ in range(300):
        if not (live := waiting(home)):
            break
        home.report(live[0])
    home.now += 4 * SECOND
    check(home.partition)


def check(partition: Partition) -> None:
    holding: dict[str, list[ExecutionId]] = {}
    in_line: dict[str, list[ExecutionId]] = {}
    for one, state in partition.executions.items():
        if isinstance(state, execution.Live) and (key := state.request.exclusive_key) is not None:
            if isinstance(state, Buffered):
                in_line.setdefault(key, []).append(one)
            elif not isinstance(state, Delayed) or execution.begun(state):
                holding.setdefault(key, []).append(one)
    assert {key: [holder] for key, holder in partition.holders.items()} == holding
    assert in_line.keys() <= holding.keys(), "somebody waits for a key that nobody holds"
    assert {key: set(line) for key, line in partition.buffered.items()} == {key: set(line) for key, line in in_line.items()}


def _request(home: Home, name: ExecutionId) -> Requested:
    state = home.partition.executions[name]
    assert isinstance(state, execution.Live)
    return state.request


def _since(home: Home, name: ExecutionId) -> Address:
    state = home.partition.executions[name]
    assert isinstance(state, Buffered)
    return state.since
