"""What becomes of ticks, of scheduled jobs, of pauses and of backfills in the tables."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from ledger.core import backfill, bulk, definition, execution, outcome, pause, tick, wire
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from ledger.core.partition import Partition
from projections.folds import fold_of
from projections.forms import BULK_ACTS, DEFINITIONS, EXECUTIONS, PAUSES, STATUSES, TICKS
from projections.memory import Memory
from projections.patches import Changes, Place, Value
from tests.synthetic_log import SyntheticLog, pause_events, registry_events, scheduled_lives
from tests.unit.projections.test_folds import fold

JOB = "beat"
FIRST, SECOND = ExecutionId("e1-2"), ExecutionId("e2-2")
W = WorkerId("w")
ADOPTED = tick.Adopted(JOB, 3, Micros(0), next_tick_at=Micros(500))


def fired(named: ExecutionId, at: int, *, due: int | None = None, trigger: execution.Trigger = "schedule") -> execution.Requested:
    return execution.Requested(
        named,
        JOB,
        "beating",
        3,
        "scheduled",
        "default",
        Micros(at),
        trigger,
        tenant="acme",
        tick_at=Micros(at),
        due_at=None if due is None else Micros(due),
        next_tick_at=Micros(at + 500),
    )


def started(named: ExecutionId) -> execution.Started:
    return execution.Started(named, 1, Token(1), W)


def ticks_after(*events: wire.Event) -> list[dict[str, Value]]:
    return [TICKS.named(row) for row in fold(events).ticks.values()]


def status_after(*events: wire.Event) -> dict[str, Value]:
    return STATUSES.named(fold(events).statuses[JOB])


# Ticks


def test_a_tick_that_fired_names_its_execution_and_how_late_it_was_decided() -> None:
    (row,) = ticks_after(fired(FIRST, -20_000, due=-11_500))
    assert tuple(row) == TICKS.columns
    assert (row["outcome"], row["reason"], row["execution_id"], row["tick_count"]) == ("fired", None, FIRST, 1)
    assert (row["tick_at"], row["last_tick_at"], row["due_at"], row["decided_at"], row["lateness_ms"]) == (
        -20_000, -20_000, -11_500, 1000, 12,
    )  # fmt: skip
    assert (row["job_id"], row["job_name"], row["tenant"], row["job_version"]) == (JOB, "beating", "acme", 3)


def test_what_is_decided_before_it_is_due_is_not_late() -> None:
    (row,) = ticks_after(fired(FIRST, 900, due=60_000_000))
    assert row["lateness_ms"] == 0


def test_a_run_of_skips_or_misses_is_one_row() -> None:
    skipped = tick.Skipped(JOB, "beating", 3, Micros(10), Micros(40), 4, "overlap", None, FIRST)
    missed = tick.Missed(JOB, "beating", 3, Micros(50), Micros(90), 5, "catchup_window")
    first, second = ticks_after(skipped, missed)
    shown = ("outcome", "reason", "tick_at", "last_tick_at", "tick_count", "due_at", "lateness_ms", "execution_id", "blocked_by")
    assert [first[name] for name in shown] == ["skipped", "overlap", 10, 40, 4, None, None, None, FIRST]
    assert [second[name] for name in shown] == ["missed", "catchup_window", 50, 90, 5, None, None, None, None]


def test_a_run_by_hand_and_a_backfill_are_no_ticks() -> None:
    assert ticks_after(fired(FIRST, 1, trigger="run_now"), fired(SECOND, 1, trigger="backfill")) == []


# The state of a scheduled job


def test_a_job_that_was_taken_over_waits_for_its_first_tick() -> None:
    row = status_after(ADOPTED)
    assert tuple(row) == STATUSES.columns
    assert (row["in_force_version"], row["next_tick_at"], row["last_tick_at"], row["firings"]) == (3, 500, None, 0)
    assert (row["last_state"], row["consecutive_failures"], row["auto_paused_note"], row["log_seq"]) == (None, 0, None, 1)


def test_ticks_count_and_say_which_is_next() -> None:
    skipped = tick.Skipped(JOB, "beating", 3, Micros(1000), Micros(1500), 2, "overlap", next_tick_at=Micros(2000))
    row = status_after(ADOPTED, fired(FIRST, 500), skipped)
    assert (row["firings"], row["last_tick_at"], row["next_tick_at"]) == (1, 1500, 2000)


@pytest.mark.parametrize(
    ("end", "state", "failures"),
    [
        (execution.Completed(SECOND, 1), "completed", 0),
        (execution.Failed(SECOND, 1, "failed", "E", "m"), "failed", 2),
        (execution.Failed(SECOND, 1, "timed_out", "E", "m"), "timed_out", 2),
        (execution.Lost(SECOND, 1, W), "lost", 2),
        (execution.Cancelled(SECOND, "asked", 1), "cancelled", 1),
        (execution.Missed(SECOND, "start_deadline"), "missed", 1),
        (execution.Skipped(SECOND, "version_too_old"), "skipped", 1),
    ],
)
def test_the_end_of_an_execution_is_the_jobs_last_state(end: wire.Event, state: str, failures: int) -> None:
    before: list[wire.Event] = [ADOPTED, fired(FIRST, 500), started(FIRST), execution.Failed(FIRST, 1, "failed", "E", "m")]
    row = status_after(*before, fired(SECOND, 1, trigger="run_now"), end)
    assert (row["last_state"], row["last_finished_at"], row["consecutive_failures"]) == (state, 6000, failures)


def test_an_execution_that_began_before_what_is_folded_here_is_known_from_memory() -> None:
    memory = Memory()
    fold([ADOPTED, fired(FIRST, 500), started(FIRST)], memory=memory)
    later = fold([execution.Completed(FIRST, 1)], first=4, memory=memory)
    assert STATUSES.named(later.statuses[JOB])["last_state"] == "completed"
    assert memory.runs == {}


def test_what_was_handed_out_to_be_written_is_not_changed_any_more() -> None:
    memory = Memory()
    first = fold([ADOPTED], memory=memory)
    fold([fired(FIRST, 500)], first=2, memory=memory)
    assert STATUSES.named(first.statuses[JOB])["firings"] == 0


def test_a_pause_of_its_own_and_what_lifts_it() -> None:
    failed: list[wire.Event] = [fired(FIRST, 500), started(FIRST), execution.Failed(FIRST, 1, "failed", "E", "m")]
    paused: list[wire.Event] = [ADOPTED, *failed, tick.AutoPaused(JOB, 1, "one failed")]
    assert status_after(*paused)["auto_paused_note"] == "one failed"
    resumed = status_after(*paused, tick.AutoResumed(JOB, Micros(9)))
    assert (resumed["auto_paused_note"], resumed["consecutive_failures"]) == (None, 0)


def test_an_edit_counts_firings_anew_and_keeps_what_happened() -> None:
    failed: list[wire.Event] = [fired(FIRST, 500), started(FIRST), execution.Failed(FIRST, 1, "failed", "E", "m")]
    row = status_after(ADOPTED, *failed, tick.Adopted(JOB, 4, Micros(600)))
    assert (row["in_force_version"], row["firings"], row["consecutive_failures"], row["last_state"]) == (4, 0, 1, "failed")
    assert (row["last_tick_at"], row["next_tick_at"]) == (500, None)


def test_a_version_that_comes_back_goes_on_counting() -> None:
    assert status_after(ADOPTED, tick.Adopted(JOB, 2, Micros(600), fired=7), fired(FIRST, 700))["firings"] == 8


def test_a_job_that_was_dropped_counts_no_failures_and_begins_anew_when_it_returns() -> None:
    failed: list[wire.Event] = [fired(FIRST, 500), started(FIRST), tick.Dropped(JOB), execution.Failed(FIRST, 1, "failed", "E", "m")]
    row = status_after(ADOPTED, *failed)
    assert (row["in_force_version"], row["next_tick_at"], row["consecutive_failures"], row["last_state"]) == (None, None, 0, "failed")
    assert status_after(ADOPTED, *failed, ADOPTED)["in_force_version"] == 3


@given(seed=st.integers(0, 10_000), per_commit=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_the_tables_count_as_control_counts(seed: int, per_commit: int) -> None:
    """Two folds of one log, written apart: firings, failures in a row and pauses are the same after every commit."""
    log, partition, memory = SyntheticLog("events", 0), Partition(0), Memory()
    log.open("L", 1)
    log.fill(scheduled_lives(25, 0, seed), per_commit)
    folded = fold_of("events", 1, memory)
    for offset, record in enumerate(log.records):
        partition.feed(record, offset)
        commit = wire.decode_commit(record)
        for index, event in enumerate(commit.events):
            folded(Changes(), event, Place(0, commit.seq, offset, commit.at), index)
        shown = {str(key): STATUSES.named(row) for key, row in memory.statuses.items()}
        in_force = {job: row for job, row in shown.items() if row["in_force_version"] is not None}
        assert {job: (row["in_force_version"], row["firings"], row["consecutive_failures"]) for job, row in in_force.items()} == {
            job: (state.job_version, state.fired, state.failures) for job, state in partition.schedules.items()
        }
        assert {job: row["auto_paused_note"] for job, row in in_force.items()} == {
            job: state.stopped and state.stopped.note for job, state in partition.schedules.items()
        }


def test_a_job_without_a_schedule_has_no_status() -> None:
    changes = fold([fired(FIRST, 500, trigger="run_now"), started(FIRST), execution.Completed(FIRST, 1)])
    assert changes.statuses == {}


# Executions


def test_what_overlaps_waits_for_the_former_one_until_it_is_due() -> None:
    buffered = execution.Requested(FIRST, JOB, "beating", 3, "scheduled", "default", Micros(1), "schedule", blocked_by=SECOND)
    row = EXECUTIONS.named(fold([buffered]).executions[FIRST])
    assert (row["state"], row["waiting_reason"], row["blocked_by"]) == ("waiting", "overlap", SECOND)
    for after in (execution.Due(FIRST), execution.Cancelled(FIRST, "asked"), execution.Missed(FIRST, "start_deadline")):
        row = EXECUTIONS.named(fold([buffered, after]).executions[FIRST])
        assert (row["waiting_reason"], row["blocked_by"]) == (None, None)


def test_an_execution_that_was_skipped_or_cancelled_says_why() -> None:
    skipped = execution.Skipped(FIRST, "version_too_old", W, "version 1, the handler needs 2")
    row = EXECUTIONS.named(fold([fired(FIRST, 1), skipped]).executions[FIRST])
    assert (row["state"], row["reason"], row["error_message"]) == ("skipped", "version_too_old", "version 1, the handler needs 2")
    cancelled = execution.Cancelled(FIRST, "by_handler", 1, 7, detail="not today")
    row = EXECUTIONS.named(fold([fired(FIRST, 1), started(FIRST), cancelled]).executions[FIRST])
    assert (row["state"], row["reason"], row["error_message"], row["run_ms"]) == ("cancelled", "by_handler", "not today", 7)


# Pauses and definitions


def test_pauses_in_force_have_rows_and_others_have_none() -> None:
    changes = fold([*registry_events(), *pause_events()], "registry")
    rows = {key: PAUSES.named(row) for key, row in changes.pauses.items() if row}
    assert set(rows) == {("job", "sync"), ("tenant", "acme"), ("queue", "mail")}
    assert (rows["queue", "mail"]["note"], rows["queue", "mail"]["actor"], rows["queue", "mail"]["since"]) == ("again", None, 25_000)


def test_a_job_says_that_it_is_paused_and_why() -> None:
    def job(*more: wire.Event) -> tuple[Value, Value, Value]:
        row = DEFINITIONS.named(fold([*registry_events(), *more], "registry").definitions["tidy"])
        return row["state"], row["paused_note"], row["updated_at"]

    paused = pause.Began("job", "tidy", "broken")
    assert job(paused) == ("paused", "broken", 14_000)
    assert job(paused, pause.Ended("job", "tidy")) == ("active", None, 15_000)
    assert job(paused, definition.Retired("tidy"))[:2] == ("retired", "broken")
    assert job(paused, definition.Retired("tidy"), definition.Versioned("tidy", 3, "h", True))[:2] == ("paused", "broken")
    assert job(pause.Began("queue", "default"), pause.Ended("job", "tidy"), pause.Began("job", "nobody")) == ("active", None, 10_000)


def test_a_job_keeps_the_name_that_its_user_gave_it() -> None:
    registered = definition.Registered("sync~1", "sync", "scheduled", "default", "key", name="hourly", exclusive_key="7")
    row = DEFINITIONS.named(fold([registered], "registry").definitions["sync~1"])
    assert (row["name"], row["exclusive_key"]) == ("hourly", "key:sync:7")


# Backfills


def test_a_backfill_tells_how_far_it_is() -> None:
    begun = backfill.Begun("b", JOB, 3, Micros(0), Micros(3_600_000_000), 60, True, actor="ops", reason="it was down")
    steps: list[wire.Event] = [begun, backfill.Advanced("b", JOB, Micros(1), 20, 4), backfill.Advanced("b", JOB, Micros(2), 10)]
    row = BULK_ACTS.named(fold(steps).bulk_acts["b", 2])
    assert (row["kind"], row["planned"], row["done"], row["refused"], row["finished_at"]) == ("backfill", 60, 30, 4, None)
    assert row["filter"] == (
        b'{"job_id":"beat","job_version":3,"from_exclusive":"1970-01-01T00:00:00+00:00",'
        b'"to_inclusive":"1970-01-01T01:00:00+00:00","only_unfired":true}'
    )
    memory = Memory()
    row = BULK_ACTS.named(fold([*steps, backfill.Finished("b", JOB, 56, 4)], memory=memory).bulk_acts["b", 2])
    assert (row["done"], row["refused"], row["outcome"], row["finished_at"]) == (56, 4, "done", 4000)
    assert memory.bulk_acts == {}


# Bulk acts


def of_bulk(verdict: str, bulk_id: str = "k") -> wire.Event:
    if verdict == "rejected":
        return outcome.Rejected("c", "execution.cancel.v1", "unknown_execution", "", bulk_id=bulk_id)
    return outcome.Accepted("c", "execution.cancel.v1", "applied" if verdict == "applied" else "unchanged", bulk_id=bulk_id)


def test_a_bulk_act_counts_what_became_of_the_acts_that_name_it() -> None:
    begun = bulk.Begun("k", "cancel", 4, Raw(b'{"state":["waiting"]}'), "ops", "a mistake")
    memory = Memory()
    steps = [begun, *map(of_bulk, ("applied", "unchanged", "rejected")), of_bulk("applied", "another")]
    row = BULK_ACTS.named(fold(steps, memory=memory).bulk_acts["k", 2])
    assert (row["kind"], row["planned"], row["done"], row["refused"], row["finished_at"]) == ("cancel", 4, 2, 1, None)
    assert (row["filter"], row["actor"], row["reason"]) == (b'{"state":["waiting"]}', "ops", "a mistake")
    row = BULK_ACTS.named(fold([of_bulk("applied"), bulk.Finished("k")], memory=memory).bulk_acts["k", 2])
    assert (row["done"], row["refused"], row["outcome"], row["finished_at"]) == (3, 1, "done", 2000)
    assert memory.bulk_acts == {}
