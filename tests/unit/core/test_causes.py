"""Who and what each event goes back to."""

import pytest
from msgspec import structs

from ledger.core import bulk, definition, execution, outcome, tick
from ledger.core.causes import Cause, Story, cause_of_job, first_of_act
from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId, Token, WorkerId
from ledger.core.wire import Event
from tests.unit.core.spec import NOON, REQUESTED, X

Y = ExecutionId("fedcba9876543210fedcba9876543210-3")
Z = ExecutionId("1" * 32 + "-3")
W, T = WorkerId("w1"), Token(7)


def story(*commits: tuple[Event, ...]) -> list[str]:
    """The causes of X's events, in commits one after the other: `actor: cause`."""
    told, found = Story(), []
    for events in commits:
        for nth, event in enumerate(events):
            if isinstance(event, execution.Event) and event.execution_id == X:
                cause = told.cause(events, nth)
                found.append(f"{cause.actor}: {cause}")
    return found


def requested(**more: object) -> Requested:
    return Requested(X, "send", "send", 1, "on_demand", "default", NOON, **more)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (requested(command_id="c1", actor="ann"), "ann: command c1"),
        (requested(trigger="schedule", tick_at=NOON), "control: tick 2027-01-15T08:00:00.000Z"),
        (requested(trigger="backfill", backfill_id="b1", actor="ann"), "ann: backfill b1"),
        (requested(trigger="retry", command_id="c2", retry_of=Y), "None: command c2"),
    ],
)
def test_who_asked(event: Requested, cause: str) -> None:
    assert story((event,)) == [cause]


def test_an_attempt_is_told_by_its_worker() -> None:
    started, lost = execution.Started(X, 1, T, W), execution.AttemptLost(X, 1, W)
    again = execution.Started(X, 2, T, WorkerId("w2"))
    assert story((REQUESTED,), (started, execution.Progressed(X, 1, 50)), (lost,), (again, execution.Completed(X, 2)))[1:] == [
        "w1: report",
        "w1: report",
        "control: lease w1",
        "w2: report",
        "w2: report",
    ]


def test_the_next_in_line_is_due_by_an_end_and_a_delay_by_time() -> None:
    waits = requested(trigger="schedule", tick_at=NOON, blocked_by=Y)
    assert story((waits,), (execution.Completed(Y, 1), tick.AutoPaused("send", 1, "x"), execution.Due(X)))[-1] == f"control: execution {Y}"
    delayed = requested(run_at=NOON)
    assert story((delayed,), (execution.Completed(Y, 1), execution.Due(X)))[-1] == "control: timer"
    assert (
        story((delayed,), (execution.Blocked(X, Y),), (execution.Completed(Y, 1), execution.Due(X)))[1:] == [f"control: execution {Y}"] * 2
    )


def test_a_cancel_goes_back_to_a_command_or_to_the_tick_that_took_its_place() -> None:
    wish, accepted = execution.CancelRequested(X, "asked", None, "ann"), outcome.Accepted("c9", "execution.cancel.v1", "applied")
    started = execution.Started(X, 1, T, W)
    assert story((REQUESTED,), (started,), (wish, accepted), (execution.Cancelled(X, "asked", 1, 5),))[2:] == [
        "ann: command c9",
        "w1: report",
    ]
    assert story((REQUESTED,), (execution.Cancelled(X, "cancel_other", 0, 0, Y),))[-1] == f"control: execution {Y}"


def test_what_was_asked_to_stop_and_ends_without_a_report_goes_back_to_who_asked_or_to_what_took_its_place() -> None:
    wish, accepted = execution.CancelRequested(X, "asked", None, "ann"), outcome.Accepted("c9", "execution.cancel.v1", "applied")
    before: list[tuple[Event, ...]] = [(REQUESTED,), (execution.Started(X, 1, T, W),), (wish, accepted)]
    lost = execution.Cancelled(X, "asked", 1, 0, None, "ann")
    assert story(*before, (lost,))[-1] == "ann: command c9"
    assert story(*before, (execution.Cancelled(X, "terminate_other", 1, 0, Y),))[-1] == f"control: execution {Y}"


def test_skips_and_misses() -> None:
    assert story((REQUESTED,), (execution.Skipped(X, "version_too_old", W),))[-1] == "w1: report"
    assert story((execution.Skipped(X, "busy", None, f"{Y} held its exclusivity key"),)) == [f"control: execution {Y}"]
    assert story((execution.Skipped(X, "no_worker_for_version"),)) == ["control: grace no_worker_for_version"]
    assert story((execution.Missed(X, "start_deadline"),)) == ["control: timer start_deadline"]


def test_what_is_replaced_goes_back_to_what_took_its_place() -> None:
    gone = execution.Skipped(X, "replaced", None, f"{Y} came after it")
    assert story((gone, Requested(Y, "send", "send", 1, "on_demand", "q", NOON))) == [f"control: execution {Y}"]


def test_a_replaced_holder_of_a_key_goes_back_to_what_replaced_it_and_not_to_the_next_in_line() -> None:
    new = ExecutionId("0" * 32 + "-3")
    gone = execution.Skipped(X, "replaced", None, f"{new} came after it")
    asked = Requested(new, "send", "send", 1, "on_demand", "q", NOON, blocked_by=Y)
    assert story((gone, execution.Due(Y), asked)) == [f"control: execution {new}"]


def test_what_concerns_a_job_goes_back_to_the_outcome_behind_it() -> None:
    events = (
        definition.Registered("a", "a", "system", "default", actor="ann"),
        outcome.Accepted("c1", "job.register.v1", "applied"),
        definition.Retired("b", "bob"),
        outcome.Accepted("c2", "job.retire.v1", "applied"),
    )
    assert [cause_of_job(events, nth) for nth in (0, 2)] == [Cause("ann", "command", "c1"), Cause("bob", "command", "c2")]
    skipped = tick.Skipped("a", "a", 1, NOON, NOON, 1, "overlap", None, Y)
    assert cause_of_job((skipped,), 0) == Cause("control", "execution", Y)
    assert cause_of_job((tick.Adopted("a", 1, NOON),), 0).kind == "registry"


OF_A_TICK = requested(trigger="schedule", tick_at=NOON)
OF_A_SUBMIT = structs.replace(requested(command_id="c1"), execution_id=Y)
CANCELLED = outcome.Accepted("c9", "execution.cancel.v1", "applied", execution_id=X)
RETRIED = outcome.Accepted("c9", "execution.retry.v1", "applied", execution_id=X)
GONE = execution.Skipped(Y, "replaced", None, f"{X} came after it")
RETRY = requested(trigger="retry", command_id="c9", retry_of=Y)


@pytest.mark.parametrize(
    ("others", "act"),
    [
        ((OF_A_TICK, OF_A_SUBMIT), (execution.CancelRequested(X, "asked"), CANCELLED)),
        ((OF_A_SUBMIT, execution.Due(Y)), (execution.Cancelled(X, "asked"), execution.Due(Y), CANCELLED)),
        ((execution.Completed(Y, 1), execution.Due(X)), (structs.replace(CANCELLED, outcome="unchanged"),)),
        ((execution.Due(Y),), (RETRY, RETRIED)),
        (
            (execution.Blocked(Y, Z),),
            (execution.Blocked(Y, X), GONE, RETRY, RETRIED),
        ),
        ((execution.CancelRequested(X, "asked"), CANCELLED, OF_A_TICK), (execution.Cancelled(X, "asked"), CANCELLED)),
        ((OF_A_SUBMIT,), (tick.SkipOrdered("a", NOON, 1, "c9"), outcome.Accepted("c9", "schedule.skip_tick.v1", "applied"))),
        ((tick.Adopted("a", 1, NOON),), (bulk.Finished("b"), outcome.Accepted("c9", "bulk.finish.v1", "applied"))),
        ((OF_A_TICK,), (outcome.Rejected("c9", "execution.cancel.v1", "unknown_execution", "no such"),)),
        ((), (definition.Retired("a"), definition.Retired("b"), outcome.Accepted("c9", "manifest.apply.v1", "applied"))),
    ],
)
def test_an_act_begins_behind_what_others_led_to_in_its_commit(others: tuple[Event, ...], act: tuple[Event, ...]) -> None:
    events = (*others, *act)
    assert events[first_of_act(events, len(events) - 1) :] == act
