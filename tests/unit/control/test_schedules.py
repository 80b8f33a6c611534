"""The schedules of a home partition: taken over from the registry, fired, missed, dropped; each expected tick has exactly one outcome."""

from collections.abc import Iterator

import pytest
from msgspec import structs

from ledger.core import request, tick, wire
from ledger.core.definition import ApplyManifest, Register, Retire, ScheduleJob
from ledger.core.execution import Active, Cancelled, CancelRequested, Due, Live, Report, ReportRefused, Requested
from ledger.core.ids import ExecutionId, Micros, execution_of_tick
from ledger.core.options import Options
from ledger.core.overlap import MOST_CANCELLED
from ledger.core.partition_draft import PartitionDraft
from ledger.core.pause import Pause
from ledger.core.policies import delay_us, engine_versions
from ledger.core.schedule_spec import ScheduleSpec
from tests.unit.control.home import DAY, HOUR, MINUTE, NOON, SECOND, Home, counted, fired, told


def beating(**spec: object) -> Home:
    """A job that is in force since noon and has not fired yet."""
    home = Home()
    home.schedule(**spec)
    home.act()
    return home


# Taking over


def test_a_schedule_counts_from_its_acceptance_and_fires_when_due() -> None:
    home = Home()
    home.schedule()
    (adopted,) = home.act(NOON + 3)
    assert adopted == tick.Adopted("beat:1", 1, NOON, *engine_versions(), NOON + SECOND)
    assert home.schedules.next_due() == NOON + SECOND
    assert home.act(NOON + SECOND - 1) == []
    (requested,) = home.act(NOON + SECOND)
    assert isinstance(requested, Requested)
    assert (requested.tick_at, requested.due_at, requested.trigger) == (NOON + SECOND, NOON + SECOND, "schedule")
    assert requested.execution_id == execution_of_tick("beat:1", NOON + SECOND, 0)
    assert requested.next_tick_at == NOON + 2 * SECOND
    assert home.act() == []


def test_the_last_outcome_of_a_decision_says_which_tick_is_next() -> None:
    home = beating(limit=2, overlap="allow_all")
    first, *_ = home.act(NOON + SECOND)
    missed, last = home.act(NOON + MINUTE)
    assert isinstance(first, Requested) and first.next_tick_at == NOON + 2 * SECOND
    assert isinstance(missed, tick.Missed) and missed.next_tick_at is None
    assert isinstance(last, Requested) and last.next_tick_at is None  # it fired as often as it may


def test_of_several_edits_between_two_looks_only_the_last_is_taken_over() -> None:
    home = beating(overlap="allow_all")
    home.now, home.deaf = NOON + 2 * SECOND, True
    for every_ms in (20_000, 30_000, 10_000):
        home.schedule(every_ms=every_ms, overlap="allow_all")
    home.hear()
    events = home.act(NOON + 5 * SECOND)
    assert told(events) == [1, 2]
    assert [event.job_version for event in events if isinstance(event, tick.Adopted)] == [4]
    assert home.schedules.next_due() == NOON + 10 * SECOND


def test_an_edit_settles_the_old_version_first_and_never_fires_the_past() -> None:
    home = beating(overlap="allow_all")
    home.now = NOON + 2 * SECOND
    home.schedule(every_ms=10_000, overlap="allow_all")
    events = home.act(NOON + 5 * SECOND)
    assert told(events) == [1, 2]
    assert [event.since for event in events if isinstance(event, tick.Adopted)] == [NOON + 2 * SECOND]
    assert home.schedules.next_due() == NOON + 10 * SECOND


def test_an_instant_between_the_acceptance_and_the_taking_over_is_not_lost() -> None:
    home = Home()
    home.schedule(at="2027-01-15T08:00:05Z")
    assert told(home.act(NOON + 9 * SECOND)) == [5]
    assert home.schedules.next_due() is None


def test_a_retired_job_is_settled_and_dropped_and_returns_from_its_return_on() -> None:
    home = beating(overlap="allow_all")
    home.now = NOON + SECOND
    home.ask(Retire(home.name(), "beat:1"))
    events = home.act(NOON + 5 * SECOND)
    assert told(events) == [1] and events[-1] == tick.Dropped("beat:1")
    assert home.schedules.next_due() is None and home.act(NOON + MINUTE) == []
    home.schedule(overlap="allow_all")
    assert told(home.act(NOON + MINUTE + SECOND)) == [61]


@pytest.mark.parametrize("behind", [0, 1.5])
def test_a_tick_that_fired_before_its_retirement_was_heard_of_does_not_fire_again(behind: float) -> None:
    """The registry's clock may be behind by a few seconds, and a partition may hear of a retirement and of the return in turn."""
    home = beating(overlap="allow_all")
    home.deaf = True
    home.now = NOON + int((2.9 - behind) * SECOND)
    home.ask(Retire(home.name(), "beat:1"))
    assert told(home.act(NOON + 3 * SECOND)) == [1, 2, 3]
    home.deaf = False
    home.hear()
    assert home.act(NOON + 3 * SECOND) == [tick.Dropped("beat:1")]
    home.now = NOON + int((2.95 - behind) * SECOND)
    home.schedule(overlap="allow_all", jitter_ms=1)
    home.restart()
    events = home.act(NOON + int(4.1 * SECOND))
    assert told(events) == [4]
    assert [event.since for event in events if isinstance(event, tick.Adopted)] == [NOON + 3 * SECOND]


def test_a_new_owner_goes_on_where_the_log_ends() -> None:
    home = beating(overlap="allow_all")
    events = home.act(NOON + 3 * SECOND)
    for from_snapshot in (False, True):
        home.restart(from_snapshot=from_snapshot)
        events += home.act(home.now + 4 * SECOND)
    assert told(events) == list(range(1, 12))


def test_a_draft_that_is_dropped_is_decided_again_whole() -> None:
    home = Home()
    home.schedule()
    assert len(home.act(lose=True)) == 1
    assert told(home.act(NOON + SECOND, lose=True)) == [1]
    home.ask(Retire(home.name(), "beat:1"))
    assert home.act(lose=True) == [tick.Dropped("beat:1")]


def test_an_owner_with_other_zone_data_says_so_once() -> None:
    home = beating()
    home.partition.reckons_with = (0, "1999a")
    (rezoned,) = home.act(NOON + 1)
    assert rezoned == tick.Rezoned(*engine_versions(), 0, "1999a")
    home.restart()
    assert home.act() == []


def test_what_other_zone_data_expected_next_is_reckoned_anew() -> None:
    home = beating(every_ms=60_000)
    home.partition.reckons_with = (1, "1999a")
    state = home.partition.schedules["beat:1"]
    home.partition.schedules["beat:1"] = structs.replace(state, next_at=Micros(NOON + 30 * SECOND))
    home.schedules.begin()
    assert [type(event) for event in home.act(NOON + 45 * SECOND)] == [tick.Rezoned]
    assert told(home.act(NOON + MINUTE)) == [60]


def test_one_instant_that_other_zone_data_move_fires_once() -> None:
    home = beating(at="2027-01-15T09:00:05", timezone="Europe/Berlin")
    home.partition.reckons_with = (1, "1999a")
    state = home.partition.schedules["beat:1"]
    home.partition.schedules["beat:1"] = structs.replace(state, fired=1, decided_until=Micros(NOON + SECOND), next_at=None)
    home.schedules.begin()
    assert [type(event) for event in home.act(NOON + MINUTE)] == [tick.Rezoned]


class NobodyAsks(PartitionDraft):
    def live(self, job_id: str) -> Iterator[tuple[ExecutionId, Live]]:
        raise AssertionError("all live executions of a job were gone through for one firing")


def test_a_firing_that_nothing_stands_before_does_not_go_through_who_is_live() -> None:
    """There may be thousands."""
    home = Home(deciding=NobodyAsks)
    home.schedule(overlap="allow_all")
    home.act()
    assert len(fired(home.act(NOON + SECOND))) == len(fired(home.act(NOON + 2 * SECOND))) == 1


# Late ticks


def test_three_days_of_every_second_are_one_range_and_one_catch_up() -> None:
    home = beating(overlap="allow_all")
    events = home.act(NOON + 3 * DAY)
    old, window = 3 * 86_400 - 3601, 3600
    assert told(events)[:3] == [
        ("catchup_window", 1, old, old),
        ("coalesced", old + 1, 3 * 86_400 - 12, window - 11),
        3 * 86_400 - 11,
    ]
    assert told(events)[3:] == [3 * 86_400 - 10 + n for n in range(11)], "decided within 10 s they are not late"
    assert counted(events) == 3 * 86_400 and home.act() == []


@pytest.mark.parametrize(
    ("coalesce", "outcomes"),
    [
        ("latest", [("coalesced", 10, 70, 7), 80, 90, 100]),
        ("earliest", [10, ("coalesced", 20, 80, 7), 90, 100]),
        ("all", [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
    ],
)
def test_of_several_late_ticks_the_version_says_which_are_made_up(coalesce: str, outcomes: list[object]) -> None:
    home = beating(every_ms=10_000, coalesce=coalesce, overlap="allow_all")
    assert told(home.act(NOON + 100 * SECOND)) == outcomes


def test_a_version_says_how_old_a_tick_may_be_to_be_made_up() -> None:
    home = beating(every_ms=10_000, catchup_window_ms=25_000, overlap="allow_all")
    assert told(home.act(NOON + 100 * SECOND)) == [("catchup_window", 10, 70, 7), 80, 90, 100]


@pytest.mark.parametrize(
    ("after", "outcome"),
    [(10 * SECOND, 60), (10 * SECOND + 1, ("catchup_window", 60, 60, 1))],
)
def test_how_late_a_tick_is_counts_from_its_assigned_time(after: int, outcome: object) -> None:
    home = beating(every_ms=60_000, jitter_ms=59_000, catchup_window_ms=10_000)
    due = home.schedules.next_due()
    assert due is not None and due > NOON + MINUTE + 10 * SECOND
    assert told(home.act(due + after)) == [outcome]


def test_many_late_ticks_are_made_up_in_portions_of_a_commit() -> None:
    home = beating(coalesce="all", overlap="allow_all")
    events = home.act(NOON + HOUR)
    assert told(events) == list(range(1, 3601))
    assert len(home.log) > 30


# What a former execution does to a tick


def test_skip_leaves_a_range_with_the_execution_that_was_in_the_way() -> None:
    home = beating()
    (first,) = fired(home.act(NOON + SECOND))
    events = home.act(NOON + 4 * SECOND)
    assert told(events) == [("overlap", 2, 4, 3)]
    assert [event.because_of for event in events if isinstance(event, tick.Skipped)] == [first]
    home.report(first)
    assert told(home.act(NOON + 5 * SECOND)) == [5]


def test_a_former_execution_counts_until_its_last_retry() -> None:
    home = beating()
    (first,) = fired(home.act(NOON + SECOND))
    home.report(first, "failed", retry_after_ms=60_000)
    assert told(home.act(NOON + 2 * SECOND)) == [("overlap", 2, 2, 1)]


def test_buffer_one_keeps_one_that_runs_when_the_former_has_ended() -> None:
    home = beating(overlap="buffer_one")
    (first,) = fired(home.act(NOON + SECOND))
    events = home.act(NOON + 3 * SECOND)
    assert told(events) == [2, ("buffer_full", 3, 3, 1)]
    (second,) = fired(events)
    assert [event.blocked_by for event in events if isinstance(event, Requested)] == [first]
    home.start(first)
    assert home.report(first)[-1] == Due(second)
    assert told(home.act(NOON + 4 * SECOND)) == [4]


def test_buffer_all_keeps_a_thousand_and_then_says_that_it_is_full() -> None:
    home = beating(overlap="buffer_all", coalesce="all")
    events = home.act(NOON + 1100 * SECOND)
    assert told(events)[:1001] == list(range(1, 1002))
    assert counted([event for event in events if isinstance(event, tick.Skipped) and event.reason == "buffer_full"]) == 99
    home.restart(from_snapshot=True)
    (first, second, *_) = fired(events)
    assert home.report(first)[-1] == Due(second)
    home.finish_all()
    assert home.partition.buffered == {} and home.partition.runs == {}


def test_cancel_other_asks_the_former_to_stop_and_starts_after_it_ended() -> None:
    home = beating(overlap="cancel_other")
    (first,) = fired(home.act(NOON + SECOND))
    home.start(first)
    asked, second = home.act(NOON + 2 * SECOND)
    assert isinstance(second, Requested) and second.blocked_by == first
    assert asked == CancelRequested(first, "cancel_other", second.execution_id)
    cancelled, third = home.act(NOON + 3 * SECOND)
    assert isinstance(third, Requested) and third.blocked_by == first, "who waits has not begun: it is cancelled at once"
    assert cancelled == Cancelled(second.execution_id, "cancel_other", because_of=third.execution_id)
    assert home.report(first, "cancelled") == [
        Cancelled(first, "cancel_other", 1, because_of=second.execution_id),
        Due(third.execution_id),
    ]


def test_what_was_buffered_under_a_former_policy_never_waits_for_nothing() -> None:
    home = beating(overlap="buffer_all", coalesce="all")
    home.act(NOON + 200 * SECOND)
    home.schedule(overlap="cancel_other")
    events = home.act(NOON + 201 * SECOND)
    assert sum(isinstance(event, Cancelled) for event in events) == MOST_CANCELLED
    assert [event for event in events if isinstance(event, Due)] == [
        Due(execution_of_tick("beat:1", NOON + (MOST_CANCELLED + 1) * SECOND, 0))
    ]
    home.finish_all()
    assert home.partition.runs == {}


def test_ticks_that_cancel_many_are_decided_in_commits_of_bounded_size() -> None:
    home = beating(coalesce="all", overlap="allow_all")
    home.act(NOON + 1000 * SECOND)
    home.schedule(coalesce="all", overlap="terminate_other")
    events = home.act(NOON + 1100 * SECOND)
    assert told(events) == list(range(1001, 1101))
    assert sum(isinstance(event, Cancelled) for event in events) == 1099
    assert max(len(wire.decode_commit(record).events) for record in home.log) <= wire.MOST_EVENTS


def test_terminate_other_fences_the_former_out_and_starts_at_once() -> None:
    home = beating(overlap="terminate_other", exclusive_scope="none")
    (first,) = fired(home.act(NOON + SECOND))
    home.start(first)
    granted = home.partition.executions[first]
    assert isinstance(granted, Active)
    cancelled, second = home.act(NOON + 2 * SECOND)
    assert isinstance(second, Requested) and second.blocked_by is None
    assert cancelled == Cancelled(first, "terminate_other", 1, because_of=second.execution_id)
    (refused,) = home.send(Report(first, granted.token, granted.worker, outcome="completed"))
    assert isinstance(refused, ReportRefused) and refused.reason == "stale_token"


def test_allow_all_lets_them_run_beside_each_other() -> None:
    assert told(beating(overlap="allow_all").act(NOON + 3 * SECOND)) == [1, 2, 3]


def test_under_exclusivity_that_says_skip_a_tick_finds_its_key_busy() -> None:
    home = Home()
    busy = Options(busy="skip")
    home.schedule("first", tenant="acme", options=busy, every_ms=2000)
    home.schedule("second", tenant="acme", options=busy, every_ms=3000)
    home.act()
    (holder,) = fired(home.act(NOON + 2 * SECOND))
    (skipped,) = home.act(NOON + 3 * SECOND)
    assert isinstance(skipped, tick.Skipped) and (skipped.reason, skipped.because_of) == ("busy", holder)


# Limit and jitter


def test_a_limit_counts_the_ticks_of_this_version_that_fired() -> None:
    home = beating(limit=2)
    (first,) = fired(home.act(NOON + SECOND))
    assert told(home.act(NOON + 3 * SECOND)) == [("overlap", 2, 3, 2)]
    home.report(first)
    assert told(home.act(NOON + 9 * SECOND)) == [4], "after the last that may fire none is expected"
    assert home.schedules.next_due() is None
    home.schedule(limit=3)
    home.finish_all()
    assert told(home.act(NOON + 10 * SECOND)) == [10]


def test_a_version_that_comes_back_has_fired_as_often_as_before() -> None:
    """By a rollback, and from retirement."""
    home = Home()
    carts: list[tuple[tuple[str, int, str], ...]] = [(("carts", 1, "a"),), (("carts", 2, "b"),), ()]
    for number, limit in ((1, 2), (2, None)):
        every_second = ScheduleSpec(every_ms=1000, limit=limit, overlap="allow_all")
        home.ask(Register(home.name(), "carts", "beat", "system", "default", number, "ab"[number - 1], "none", schedule=every_second))
    events: list[wire.Event] = []
    for nth, listed in enumerate((carts[0], carts[1], carts[0], carts[2], carts[0])):
        home.ask(ApplyManifest(home.name(), str(listed), listed, rollback=True))
        home.restart(from_snapshot=nth % 2 == 1)
        events += home.act()
        events += home.act(home.now + SECOND)
    events += home.act(home.now + 9 * SECOND)
    assert told(events) == [1, 2, 3]
    assert [event.fired for event in events if isinstance(event, tick.Adopted)] == [0, 0, 1, 2]
    assert home.schedules.next_due() is None


def test_what_nobody_planned_does_not_count_for_the_limit() -> None:
    home = beating(limit=2, overlap="allow_all")
    home.send(request.RunNow("r", "beat:1"), request.Backfill("b", "beat:1", "b", Micros(NOON - 3 * SECOND), NOON))
    assert told(home.act(NOON + 9 * SECOND)) == [1, 2]


def test_an_end_is_nominal_and_jitter_may_go_beyond_it() -> None:
    home = beating(every_ms=60_000, jitter_ms=59_000, end="2027-01-15T08:01:00Z")
    due = home.schedules.next_due()
    assert due is not None and due > NOON + MINUTE
    assert told(home.act(due)) == [60] and home.schedules.next_due() is None


def test_where_jitter_puts_a_job_never_changes() -> None:
    """Another figure in a later release would move the ticks of all jobs."""
    assert [delay_us(job_id, 30_000) for job_id in ("beat:1", "sync~5d")] == [26_706_000, 2_945_000]


def test_jitter_moves_all_ticks_of_a_job_by_the_same_time() -> None:
    home = beating(every_ms=60_000, jitter_ms=30_000)
    due = home.schedules.next_due()
    assert due is not None and NOON + MINUTE < due < NOON + MINUTE + 30 * SECOND
    assert home.act(due - 1) == []
    (requested,) = home.act(due)
    assert isinstance(requested, Requested) and (requested.tick_at, requested.due_at) == (NOON + MINUTE, due)
    assert home.schedules.next_due() == due + MINUTE


def test_a_start_deadline_counts_from_when_the_tick_is_due() -> None:
    home = beating(every_ms=60_000, options=Options(start_deadline_ms=5000))
    (requested,) = home.act(NOON + MINUTE + 2 * SECOND)
    assert isinstance(requested, Requested) and requested.start_deadline == NOON + MINUTE + 5 * SECOND


def test_an_execution_that_no_command_asked_for_is_remembered_for_a_while_after_its_end() -> None:
    home = beating(every_ms=3_600_000)
    (first,) = fired(home.act(NOON + HOUR))
    home.report(first)
    home.restart(from_snapshot=True)
    home.act(NOON + 2 * HOUR)
    assert first in home.partition.executions
    home.act(NOON + 3 * HOUR)
    assert first not in home.partition.executions


def test_thousands_at_once_are_taken_over_in_commits_of_bounded_size_and_a_start_reckons_none() -> None:
    home = Home()
    commands = [
        ScheduleJob(home.name(), "beat", "h", ScheduleSpec(cron=(f"{nth % 60} {nth % 24} * * *",)), f"job-{nth}", tenant=f"t{nth % 50}")
        for nth in range(2000)
    ]
    for first in range(0, 2000, 100):
        home.ask(*commands[first : first + 100])
    events = home.act()
    assert len(events) == 2000 and max(len(wire.decode_commit(record).events) for record in home.log) <= wire.MOST_EVENTS
    home.restart()
    assert home.schedules.next_due() is not None and not home.schedules.engines.any_compiled
    home.ask(Pause(home.name(), "tenant", "t7"))
    paused = [event for event in home.act(NOON + DAY) if isinstance(event, tick.Skipped)]
    assert {event.tenant for event in paused} == {"t7"} and sum(event.count for event in paused) == 40
    assert counted([event for record in home.log for event in wire.decode_commit(record).events]) == 2000
