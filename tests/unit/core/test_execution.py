"""The specification of an execution, readable aloud: each transition allowed, refused, quiet and repeated."""

import pytest
from hypothesis import given as sampled
from hypothesis import settings
from hypothesis import strategies as some
from msgspec import Raw, structs

from ledger.core import executing, execution
from ledger.core.execution import (
    Active,
    AttemptFailed,
    AttemptLost,
    BecomeDue,
    Buffered,
    Cancel,
    Cancelled,
    CancelRequested,
    Completed,
    Delayed,
    Due,
    Ended,
    Event,
    Expire,
    Failed,
    HandedBack,
    Lose,
    Lost,
    Missed,
    Progressed,
    Release,
    ReportRefused,
    Skipped,
    Snoozed,
    Started,
    Waiting,
)
from ledger.core.ids import Address, ExecutionId, Micros, Token
from tests.unit.core.spec import ADA, BOB, NOON, REQUESTED, SECOND, X, fold, given, report, token

STARTED = Started(X, 1, token(0), ADA)
COMPLETED = Completed(X, 1, 5)
OTHER = ExecutionId("fedcba9876543210fedcba9876543210-3")
BUFFERED = structs.replace(REQUESTED, blocked_by=OTHER)
ASKED = CancelRequested(X, "cancel_other", OTHER)
FAILED = AttemptFailed(X, 1, "failed", "ValueError", "no", Micros(NOON + SECOND), 5)


def test_a_request_waits_under_the_token_of_its_place() -> None:
    assert fold((REQUESTED,)) == Waiting(REQUESTED, token(0), NOON)


def test_a_request_for_later_is_delayed_until_then() -> None:
    later = structs.replace(REQUESTED, run_at=Micros(NOON + SECOND))
    assert fold((later,)) == Delayed(later, Micros(NOON + SECOND))


def test_the_first_start_wins() -> None:
    given(REQUESTED).when(report(0)).then(STARTED).and_repeated_changes_nothing()


def test_a_start_says_how_long_it_waited_and_until_when_it_may_run() -> None:
    given(REQUESTED).when(report(0, ago_ms=200, timeout_ms=60_000), at=NOON + 3 * SECOND).then(
        Started(X, 1, token(0), ADA, 2800, Micros(NOON + 3 * SECOND + 59_800_000))
    )


def test_a_short_job_starts_and_ends_in_one_report() -> None:
    given(REQUESTED).when(report(0, outcome="completed", run_ms=5)).then(STARTED, COMPLETED).and_repeated_changes_nothing()


def test_a_second_worker_with_the_same_grant_is_refused() -> None:
    given(REQUESTED, STARTED).when(report(0, BOB)).then(ReportRefused(X, token(0), BOB, "not_the_worker"))
    given(REQUESTED, STARTED, COMPLETED).when(report(0, BOB, outcome="completed")).then(ReportRefused(X, token(0), BOB, "not_the_worker"))


def test_a_token_that_was_never_granted_is_refused() -> None:
    stale = structs.replace(report(0), token=Token(7))
    for past in ((REQUESTED,), (REQUESTED, STARTED), (REQUESTED, STARTED, COMPLETED)):
        given(*past).when(stale).then(ReportRefused(X, Token(7), ADA, "stale_token"))


def test_a_report_for_an_execution_nobody_knows_is_refused() -> None:
    given().when(report(0)).then(ReportRefused(X, token(0), ADA, "unknown_execution"))


def test_progress_is_news_only_once() -> None:
    given(REQUESTED, STARTED).when(report(0, progress=40, note="half")).then(Progressed(X, 1, 40, "half")).and_repeated_changes_nothing()


def test_progress_implies_the_start() -> None:
    given(REQUESTED).when(report(0, progress=40)).then(STARTED, Progressed(X, 1, 40)).and_repeated_changes_nothing()


def test_a_result_is_kept_as_the_bytes_it_is() -> None:
    (completed,) = given(REQUESTED, STARTED).when(report(0, outcome="completed", result=Raw(b'{"a": 1}'))).decided()
    assert isinstance(completed, Completed) and bytes(completed.result) == b'{"a": 1}'


def test_a_failure_with_a_retry_is_delayed_and_then_due_under_a_new_token() -> None:
    failure = report(0, outcome="failed", error_type="ValueError", error_message="no", run_ms=5, retry_after_ms=1000)
    given(REQUESTED, STARTED).when(failure).then(FAILED).and_repeated_changes_nothing()
    given(REQUESTED, STARTED, FAILED).when(BecomeDue(X), at=NOON).then()
    given(REQUESTED, STARTED, FAILED).when(BecomeDue(X), at=NOON + SECOND).then(Due(X)).and_repeated_changes_nothing()
    assert fold((REQUESTED, STARTED, FAILED, Due(X))) == Waiting(REQUESTED, token(3), NOON, attempt=2)


@pytest.mark.parametrize("state", ["failed", "timed_out"])
def test_a_failure_without_a_retry_is_final(state: str) -> None:
    failure = report(0, outcome=state, error_type="ValueError", error_message="no")
    given(REQUESTED, STARTED).when(failure).then(Failed(X, 1, state, "ValueError", "no")).and_repeated_changes_nothing()  # type: ignore[arg-type]


def test_no_retry_is_further_away_than_a_year() -> None:
    (failed,) = given(REQUESTED, STARTED).when(report(0, outcome="failed", retry_after_ms=10**15)).decided()
    assert isinstance(failed, AttemptFailed) and failed.retry_at - NOON == 366 * 86_400 * SECOND


def test_an_attempt_handed_back_is_not_counted() -> None:
    given(REQUESTED, STARTED).when(report(0, outcome="handed_back")).then(HandedBack(X, 1, ADA)).and_repeated_changes_nothing()
    assert fold((REQUESTED, STARTED, HandedBack(X, 1, ADA))) == Waiting(REQUESTED, token(2), NOON, attempt=1, began=True)


def test_an_attempt_that_is_snoozed_is_not_counted_and_comes_again_when_its_time_has_come() -> None:
    snooze = report(0, outcome="snoozed", retry_after_ms=1000, run_ms=5)
    snoozed = Snoozed(X, 1, Micros(NOON + SECOND), 5)
    given(REQUESTED, STARTED).when(snooze).then(snoozed).and_repeated_changes_nothing()
    given(REQUESTED).when(snooze).then(STARTED, snoozed).and_repeated_changes_nothing()
    assert fold((REQUESTED, STARTED, snoozed)) == Delayed(REQUESTED, Micros(NOON + SECOND), attempt=1, began=True)
    given(REQUESTED, STARTED, snoozed).when(BecomeDue(X), at=NOON).then()
    given(REQUESTED, STARTED, snoozed).when(BecomeDue(X), at=NOON + SECOND).then(Due(X))
    given(REQUESTED, STARTED, snoozed).when(Cancel(X, "cancel_other", OTHER)).then(Cancelled(X, "cancel_other", because_of=OTHER))


@pytest.mark.parametrize("then", [(HandedBack(X, 1, ADA),), (Snoozed(X, 1, Micros(NOON + SECOND)),), (Snoozed(X, 1, Micros(NOON)), Due(X))])
def test_what_began_in_time_and_comes_again_is_not_missed(then: tuple[Event, ...]) -> None:
    hasty = structs.replace(REQUESTED, start_deadline=Micros(NOON + SECOND))
    given(hasty, STARTED, *then).when(Expire(X), at=NOON + SECOND).then()


def test_nobody_sleeps_for_longer_than_a_year() -> None:
    (snoozed,) = given(REQUESTED, STARTED).when(report(0, outcome="snoozed", retry_after_ms=10**15)).decided()
    assert isinstance(snoozed, Snoozed) and snoozed.until - NOON == 366 * 86_400 * SECOND


def test_handing_back_what_never_started_changes_nothing() -> None:
    given(REQUESTED).when(report(0, outcome="handed_back")).then()


def test_a_lost_worker_s_attempt_waits_again_under_a_new_token() -> None:
    given(REQUESTED, STARTED).when(Lose(X, ADA, 3)).then(AttemptLost(X, 1, ADA)).and_repeated_changes_nothing()
    assert fold((REQUESTED, STARTED, AttemptLost(X, 1, ADA))) == Waiting(REQUESTED, token(2), NOON, attempt=2, lost=1)


def test_what_was_lost_too_often_is_lost_for_good() -> None:
    again = Started(X, 2, token(2), BOB)
    given(REQUESTED, STARTED, AttemptLost(X, 1, ADA), again).when(Lose(X, BOB, 2)).then(Lost(X, 2, BOB)).and_repeated_changes_nothing()


def test_only_the_worker_that_holds_it_can_lose_it() -> None:
    given(REQUESTED).when(Lose(X, ADA, 3)).then()
    given(REQUESTED, STARTED).when(Lose(X, BOB, 3)).then()
    given(REQUESTED, STARTED, COMPLETED).when(Lose(X, ADA, 3)).then()


def test_the_lost_worker_s_late_word_is_refused_and_recorded() -> None:
    late = report(0, outcome="completed")
    given(REQUESTED, STARTED, AttemptLost(X, 1, ADA)).when(late).then(ReportRefused(X, token(0), ADA, "stale_token"))


def test_a_start_that_comes_too_late_is_missed() -> None:
    hasty = structs.replace(REQUESTED, start_deadline=Micros(NOON + SECOND))
    given(hasty).when(Expire(X), at=NOON).then()
    given(hasty).when(Expire(X), at=NOON + SECOND).then(Missed(X, "start_deadline")).and_repeated_changes_nothing()
    given(hasty, STARTED).when(Expire(X), at=NOON + SECOND).then()
    given(REQUESTED).when(Expire(X), at=NOON + SECOND).then()


def test_what_waits_for_the_former_executions_of_its_job_is_due_when_they_have_ended() -> None:
    assert fold((BUFFERED,)) == Buffered(BUFFERED, since=Address(1, 0))
    given(BUFFERED).when(Release(X)).then(Due(X)).and_repeated_changes_nothing()
    assert fold((BUFFERED, Due(X))) == Waiting(BUFFERED, token(1), NOON)
    given(REQUESTED).when(Release(X)).then()
    given(BUFFERED).when(report(0)).then(ReportRefused(X, token(0), ADA, "stale_token"))
    hasty = structs.replace(BUFFERED, start_deadline=Micros(NOON + SECOND))
    given(hasty).when(Expire(X), at=NOON + SECOND).then(Missed(X, "start_deadline")).and_repeated_changes_nothing()


@pytest.mark.parametrize("before", [(REQUESTED,), (BUFFERED,), (REQUESTED, STARTED, FAILED)], ids=["waiting", "buffered", "delayed"])
def test_what_does_not_run_is_cancelled_at_once(before: tuple[Event, ...]) -> None:
    cancelled = Cancelled(X, "cancel_other", because_of=OTHER)
    given(*before).when(Cancel(X, "cancel_other", OTHER)).then(cancelled).and_repeated_changes_nothing()


def test_what_runs_is_asked_to_stop_once_and_goes_on_until_it_does() -> None:
    given(REQUESTED, STARTED).when(Cancel(X, "cancel_other", OTHER)).then(ASKED).and_repeated_changes_nothing()
    given(REQUESTED, STARTED, ASKED).when(report(0, outcome="completed", run_ms=5)).then(COMPLETED)
    given(REQUESTED, STARTED, ASKED).when(report(0, progress=7)).then(Progressed(X, 1, 7))
    given(REQUESTED, STARTED, COMPLETED).when(Cancel(X, "cancel_other", OTHER)).then()


@pytest.mark.parametrize("how", [{"outcome": "cancelled"}, {"outcome": "handed_back"}, {"outcome": "snoozed", "retry_after_ms": 5}])
def test_no_attempt_follows_one_that_was_asked_to_stop(how: dict[str, object]) -> None:
    cancelled = Cancelled(X, "cancel_other", 1, 5, OTHER)
    given(REQUESTED, STARTED, ASKED).when(report(0, run_ms=5, **how)).then(cancelled).and_repeated_changes_nothing()


def test_neither_a_retry_nor_a_loss_brings_it_back() -> None:
    failure = report(0, outcome="failed", retry_after_ms=10, error_message="stopped")
    given(REQUESTED, STARTED, ASKED).when(failure).then(Cancelled(X, "cancel_other", 1, 0, OTHER, detail="stopped"))
    given(REQUESTED, STARTED, ASKED).when(Lose(X, ADA, 3)).then(Cancelled(X, "cancel_other", 1, 0, OTHER))


def test_a_handler_may_cancel_its_own_execution() -> None:
    stop = report(0, outcome="cancelled", error_message="nothing to do")
    given(REQUESTED, STARTED).when(stop).then(Cancelled(X, "by_handler", 1, detail="nothing to do")).and_repeated_changes_nothing()


def test_who_is_fenced_out_has_no_say_any_more() -> None:
    fenced = Cancelled(X, "terminate_other", 1, because_of=OTHER)
    given(REQUESTED, STARTED).when(Cancel(X, "terminate_other", OTHER)).then(fenced).and_repeated_changes_nothing()
    given(REQUESTED, STARTED, fenced).when(report(0, outcome="completed")).then(ReportRefused(X, token(0), ADA, "stale_token"))


def test_a_version_that_no_handler_may_run_is_skipped_instead_of_started() -> None:
    skip = report(0, outcome="skipped", skip_reason="version_too_old", error_message="needs 2")
    skipped = Skipped(X, "version_too_old", ADA, "needs 2")
    given(REQUESTED).when(skip).then(skipped).and_repeated_changes_nothing()
    given(REQUESTED, STARTED).when(skip).then(structs.replace(skipped, attempt=1))
    given(REQUESTED, STARTED).when(structs.replace(skip, worker=BOB)).then(ReportRefused(X, token(0), BOB, "not_the_worker"))
    given(REQUESTED, STARTED, COMPLETED).when(skip).then()


def test_an_event_that_no_decision_wrote_is_not_folded() -> None:
    with pytest.raises(AssertionError, match="not written by `decide`"):
        fold((STARTED,))


commands = some.lists(
    some.one_of(
        some.builds(
            report,
            some.integers(0, 6),
            some.sampled_from([ADA, BOB]),
            outcome=some.sampled_from([None, "completed", "failed", "timed_out", "handed_back", "skipped", "cancelled", "snoozed"]),
            progress=some.one_of(some.none(), some.integers(0, 100)),
            retry_after_ms=some.one_of(some.none(), some.integers(0, 5000)),
        ),
        some.just(BecomeDue(X)),
        some.just(Expire(X)),
        some.builds(Lose, some.just(X), some.sampled_from([ADA, BOB]), some.integers(1, 3)),
        some.builds(Cancel, some.just(X), some.sampled_from(["asked", "cancel_other", "terminate_other"])),
        some.just(Release(X)),
    ),
    max_size=25,
)


@sampled(some.sampled_from([REQUESTED, BUFFERED]), commands)
@settings(max_examples=2000)
def test_one_end_rising_tokens_and_nothing_after_the_end(requested: execution.Requested, wishes: list[execution.Command]) -> None:
    past: list[Event] = [requested]
    for hour, wish in enumerate(wishes):
        state = fold(tuple(past))
        decided = executing.decide(wish, state, Micros(NOON + hour * 3600 * SECOND))
        if isinstance(state, Ended):
            assert all(isinstance(event, ReportRefused) for event in decided)
        past += decided
    tokens = [event.token for event in past if isinstance(event, Started)]
    assert tokens == sorted(set(tokens))
    assert sum(isinstance(event, Completed | Failed | Lost | Missed | Skipped | Cancelled) for event in past) <= 1
    assert isinstance(fold(tuple(past)), Waiting | Delayed | Buffered | Active | Ended)
    assert len({Address(nth, 0) for nth in range(len(past))}) == len(past)
