"""From events to rows: what each event writes, and that a log may be folded in pieces of any size."""

from collections.abc import Mapping, Sequence
from typing import get_args

import pytest
from msgspec import UNSET, Raw

from ledger.core import definition, execution, outcome, wire
from ledger.core.bodies import NOTHING
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from projections.folds import fold_of
from projections.forms import ATTEMPTS, DEFINITIONS, EXECUTIONS, FORMS, OUTCOMES, VERSIONS
from projections.memory import Memory
from projections.patches import Changes, Contradiction, Form, Key, Patch, Place, Rows, Value, is_whole
from tests.synthetic_log import pause_events, registry_events, requested, scheduled_lives, varied_lives

X = ExecutionId("0123456789ab7def8123456789abcdef-2")
W = WorkerId("worker-1")
STARTED = execution.Started(X, 1, Token(700), W, 12, Micros(9_000))


def asked(**changes: object) -> execution.Requested:
    event = requested(1, 2, **changes)
    return execution.Requested(X, *(getattr(event, name) for name in event.__struct_fields__[1:]))


def fold(events: Sequence[wire.Event], log: str = "events", first: int = 1, memory: Memory | None = None) -> Changes:
    """Each event in a commit of its own; commit n is decided at n * 1000."""
    changes, folded = Changes(), fold_of(log, 4, memory)
    for number, event in enumerate(events, first):
        folded(changes, event, Place(2, number, number - 1, number * 1000), 0)
    return changes


def row_after(*events: wire.Event) -> dict[str, Value]:
    return EXECUTIONS.named(fold(events).executions[X])


def attempts_after(*events: wire.Event) -> list[dict[str, Value]]:
    return [ATTEMPTS.named(row) for row in fold(events).attempts.values()]


def differing(before: dict[str, Value], after: dict[str, Value]) -> dict[str, Value]:
    ignored = {"log_seq", "log_offset"}
    return {name: value for name, value in after.items() if before[name] != value and name not in ignored}


def test_a_request_writes_every_column() -> None:
    row = row_after(asked(tenant="acme", labels={"team": "a"}, start_deadline=Micros(5_000), priority=3))
    assert tuple(row) == EXECUTIONS.columns
    assert (row["state"], row["attempt"], row["eligible_at"], row["deadline_at"], row["priority"]) == ("waiting", 0, 1000, 5000, 3)
    assert (row["labels"], row["tenant"]) == (b'{"team":"a"}', "acme")
    assert (row["log_partition"], row["log_seq"], row["log_index"], row["log_offset"], row["requested_offset"]) == (2, 1, 0, 0, 0)


def test_a_request_for_later_is_delayed_until_it_is_due() -> None:
    delayed = row_after(asked(run_at=Micros(50_000)))
    assert (delayed["state"], delayed["eligible_at"]) == ("delayed", 50_000)
    due = row_after(asked(run_at=Micros(50_000)), execution.Due(X))
    assert (due["state"], due["eligible_at"]) == ("waiting", 2000)


def test_a_time_that_has_passed_already_does_not_delay() -> None:
    assert row_after(asked(run_at=Micros(500)))["state"] == "waiting"


@pytest.mark.parametrize(
    ("data", "stored"), [(NOTHING, None), (Raw(b"null"), b"null"), (Raw(b'{"a": 1}'), b'{"a": 1}')]
)  # nothing and JSON's null are two things
def test_a_body_stays_as_it_came(data: Raw, stored: bytes | None) -> None:
    assert row_after(asked(data=data))["data"] == stored


def test_a_start_names_worker_and_deadline() -> None:
    assert differing(row_after(asked()), row_after(asked(), STARTED)) == {
        "state": "active", "attempt": 1, "worker": W, "first_started_at": 2000, "started_at": 2000,
        "deadline_at": 9000, "last_report_at": 2000, "wait_ms": 12,
    }  # fmt: skip


def test_progress_makes_it_processing() -> None:
    row = row_after(asked(), STARTED, execution.Progressed(X, 1, 40, "rendered"))
    assert (row["state"], row["progress"], row["progress_note"], row["last_report_at"]) == ("processing", 40, "rendered", 3000)


def test_a_completion_brings_the_result_and_takes_earlier_errors_away() -> None:
    failed = execution.AttemptFailed(X, 1, "failed", "ValueError", "no", Micros(8_000), 5)
    again = execution.Started(X, 2, Token(800), W)
    row = row_after(asked(), STARTED, failed, execution.Due(X), again, execution.Completed(X, 2, 7, Raw(b"[1]")))
    assert (row["state"], row["result"], row["finished_at"], row["run_ms"], row["attempt"]) == ("completed", b"[1]", 6000, 7, 2)
    assert (row["error_type"], row["error_message"]) == (None, None)
    assert (row["first_started_at"], row["started_at"]) == (2000, 5000)


def test_a_failed_attempt_waits_for_its_retry() -> None:
    row = row_after(asked(), STARTED, execution.AttemptFailed(X, 1, "timed_out", "TimeoutError", "10 s", Micros(8_000), 5))
    assert (row["state"], row["eligible_at"], row["error_type"], row["run_ms"]) == ("delayed", 8000, "TimeoutError", 5)
    assert (row["worker"], row["started_at"], row["deadline_at"], row["finished_at"]) == (None, None, None, None)


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (execution.Failed(X, 1, "failed", "E", "m", 3), "failed", None),
        (execution.Failed(X, 1, "timed_out", "E", "m", 3), "timed_out", None),
        (execution.Lost(X, 1, W), "lost", None),
        (execution.Missed(X, "start_deadline"), "missed", "start_deadline"),
    ],
)
def test_each_end_is_a_terminal_state(end: wire.Event, state: str, reason: str | None) -> None:
    row = row_after(asked(), STARTED, end)
    assert (row["state"], row["reason"], row["finished_at"]) == (state, reason, 3000)


@pytest.mark.parametrize("back", [execution.HandedBack(X, 1, W, 3), execution.AttemptLost(X, 1, W)])
def test_what_lost_its_worker_waits_again(back: wire.Event) -> None:
    row = row_after(asked(), STARTED, execution.Progressed(X, 1, 40), back)
    assert (row["state"], row["eligible_at"], row["worker"], row["progress"], row["started_at"]) == ("waiting", 4000, None, None, None)
    assert row["first_started_at"] == 2000


def test_what_snoozes_is_delayed_and_its_attempt_says_so() -> None:
    snoozed = execution.Snoozed(X, 1, Micros(8_000), 5)
    row = row_after(asked(), STARTED, execution.Progressed(X, 1, 40), snoozed)
    assert (row["state"], row["eligible_at"], row["run_ms"], row["worker"], row["progress"]) == ("delayed", 8000, 5, None, None)
    (only,) = attempts_after(asked(), STARTED, snoozed)
    assert (only["state"], only["run_ms"]) == ("snoozed", 5)


def test_a_skip_by_the_worker_that_had_started_it_ends_the_attempt() -> None:
    skipped = execution.Skipped(X, "version_too_old", W, "version 1", attempt=1)
    assert row_after(asked(), STARTED, skipped)["state"] == "skipped"
    (only,) = attempts_after(asked(), STARTED, skipped)
    assert (only["state"], only["finished_at"]) == ("skipped", 3000)


def test_a_refused_report_changes_nothing_and_needs_no_row() -> None:
    refused = execution.ReportRefused(X, Token(1), W, "stale_token")
    assert row_after(asked(), STARTED, refused) == row_after(asked(), STARTED)
    assert len(fold([refused])) == 0


def test_every_attempt_has_a_row() -> None:
    first, second = attempts_after(
        asked(),
        STARTED,
        execution.AttemptLost(X, 1, W),
        execution.Started(X, 2, Token(800), W),
        execution.Failed(X, 2, "failed", "E", "m", 4),
    )
    assert (first["attempt"], first["token"], first["state"], first["finished_at"], first["run_ms"]) == (1, 700, "lost", 3000, None)
    assert (second["attempt"], second["token"], second["state"], second["error_type"], second["run_ms"]) == (2, 800, "failed", "E", 4)


def test_a_start_after_a_hand_back_takes_the_row_of_its_number() -> None:
    (only,) = attempts_after(asked(), STARTED, execution.HandedBack(X, 1, W, 3), execution.Started(X, 1, Token(900), W))
    assert (only["token"], only["state"], only["finished_at"], only["started_at"]) == (900, "active", None, 4000)


def test_every_event_of_an_execution_is_known_to_the_fold() -> None:
    made: dict[type, wire.Event] = {type(event): event for event in varied_lives(400, 0, 1)}
    assert set(get_args(execution.Event)) <= set(made)


def test_jobs_versions_and_what_is_in_force() -> None:
    changes = fold(registry_events(), "registry")
    jobs = {str(key): DEFINITIONS.named(row) for key, row in changes.definitions.items()}
    assert {key: (row["state"], row["current_version"]) for key, row in jobs.items()} == {
        "send-invoice": ("active", 1), "tidy": ("active", 2), "sync": ("retired", 1),
    }  # fmt: skip
    assert (jobs["sync"]["exclusive_key"], jobs["tidy"]["exclusive_key"], jobs["send-invoice"]["exclusive_key"]) == (
        "tenant:sync:acme", "job:tidy", None,
    )  # fmt: skip
    assert (jobs["tidy"]["created_at"], jobs["tidy"]["updated_at"]) == (4000, 10_000)
    versions = {key: VERSIONS.named(row) for key, row in changes.versions.items()}
    assert set(versions) == {("send-invoice", 1), ("tidy", 1), ("tidy", 2), ("sync", 1)}
    assert versions["tidy", 1]["schedule"] == b'{"every_ms":60000}'
    assert versions["send-invoice", 1]["options"] == b'{"timeout_ms":1000}'


def test_outcomes_of_both_logs_stand_in_one_table_and_each_refusal_has_a_row() -> None:
    refused = outcome.Rejected("c", "execution.submit.v1", "unknown_job", "no such job")
    changes = fold([refused, outcome.Forwarded("d", "execution.submit.v1", 1), refused])
    assert [(row["log"], row["outcome"], row["reason"]) for row in map(OUTCOMES.named, changes.outcomes.values())] == [
        ("events", "rejected", "unknown_job")
    ] * 2
    assert len(fold(registry_events(), "registry").outcomes) == 4


def whole_tables(pieces: Sequence[Changes]) -> dict[str, Rows]:
    """What the tables hold after the pieces were written one after the other."""
    tables: dict[str, Rows] = {form.table: {} for form, _ in FORMS}
    for piece in pieces:
        for form, rows_of in FORMS:
            write(form, tables[form.table], rows_of(piece))
    return tables


def write(form: Form, rows: Rows, patches: Mapping[Key, Patch]) -> None:
    """As the SQL of `writing` does."""
    for key, patch in patches.items():
        row = rows.get(key)
        if not patch:
            rows.pop(key, None)
        elif form.is_kept or is_whole(patch):
            rows[key] = patch
        elif row is None:
            raise form.contradiction(key)
        else:
            rows[key] = [
                was if now is UNSET or (place == form.set_once and was is not None) else now
                for place, (was, now) in enumerate(zip(row, patch, strict=True))
            ]


def pieces_of(events: Sequence[wire.Event], size: int, log: str = "events") -> list[Changes]:
    """Folded as a consumer folds: so many events at a time, with what it remembers of the ones before."""
    memory = Memory()
    return [fold(events[start : start + size], log, start + 1, memory) for start in range(0, len(events), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize(("log", "seed"), [("events", 1), ("events", 2), ("registry", 0)])
def test_pieces_of_any_size_lead_to_the_same_rows(log: str, seed: int, size: int) -> None:
    events = [*registry_events(), *pause_events()] if log == "registry" else [*varied_lives(300, 2, seed), *scheduled_lives(60, 2, seed)]
    at_once = whole_tables([fold(events, log)])
    assert whole_tables(pieces_of(events, size, log)) == at_once
    assert all(is_whole(row) for rows in at_once.values() for row in rows.values())


def test_a_patch_for_a_row_that_is_not_there_is_a_contradiction() -> None:
    with pytest.raises(Contradiction, match="job_executions has no row"):
        whole_tables([fold([STARTED])])


def test_the_first_start_is_kept_over_pieces() -> None:
    events: list[wire.Event] = [asked(), STARTED, execution.HandedBack(X, 1, W, 3), execution.Started(X, 1, Token(900), W)]
    (row,) = whole_tables([fold([event], "events", number) for number, event in enumerate(events, 1)])["job_executions"].values()
    assert (EXECUTIONS.named(row)["first_started_at"], EXECUTIONS.named(row)["started_at"]) == (2000, 4000)


def test_a_second_request_replaces_the_row() -> None:
    row = whole_tables([fold([asked(), STARTED]), fold([asked()], "events", 3)])["job_executions"][X]
    named = EXECUTIONS.named(row)
    assert (named["state"], named["first_started_at"], named["log_seq"]) == ("waiting", None, 3)


def test_a_job_that_was_never_registered_is_a_contradiction() -> None:
    with pytest.raises(Contradiction, match="job_definitions has no row 'tidy'"):
        fold([definition.ManifestApplied("m", (("tidy", 2),))], "registry")
