"""What code did becomes what is reported."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ledger.context import AttemptCancelled, Cancel, Snooze, UnrecoverableError
from ledger.core import wire
from ledger.core.options import Options
from ledger.core.strict_json import check_json
from ledger.handlers import Jobs
from ledger.signature import InvalidData
from ledger.terms import Retry
from processors.runner import settle
from processors.runner.attempt import Attempt
from tests.unit.runner.runner_fakes import attempt_of, offer


def of(retries: Retry | None = None, *, attempt: int = 1, options: Options | None = None) -> Attempt:
    jobs = Jobs()
    jobs.job("sync", retries=retries)(lambda: None)
    made = attempt_of(offer(1, attempt=attempt, options=options))
    made.handler, made.timeout_ms = jobs.find("sync"), 1500
    return made


def test_a_result_completes_it() -> None:
    attempt = of()
    settle.returned(attempt, {"n": 1})
    assert (attempt.outcome, bytes(attempt.result)) == ("completed", b'{"n":1}')


def test_an_exception_fails_it_and_another_attempt_follows() -> None:
    attempt = of()
    settle.raised(attempt, ValueError("no such customer"))
    assert (attempt.outcome, attempt.error_type, attempt.error_message) == ("failed", "ValueError", "no such customer")
    assert attempt.retry_after_ms is not None
    assert 13_500 <= attempt.retry_after_ms <= 16_500


def test_no_attempt_follows_the_last() -> None:
    attempt = of(Retry(attempts=2), attempt=2)
    settle.raised(attempt, ValueError())
    assert attempt.retry_after_ms is None


def test_the_options_of_the_execution_go_before_the_handlers() -> None:
    attempt = of(Retry(attempts=1), options=Options(attempts=2, backoff="fixed", backoff_first_ms=7))
    settle.raised(attempt, ValueError())
    assert attempt.retry_after_ms == 7


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (UnrecoverableError("gone"), "UnrecoverableError"),
        (InvalidData("/a: Field required"), "invalid_data"),
        (KeyError("never"), "KeyError"),
        (OSError("not among those to retry"), "OSError"),
    ],
)
def test_some_failures_are_final(error: Exception, error_type: str) -> None:
    attempt = of(Retry(on=(LookupError,), never=(KeyError,)))
    settle.raised(attempt, error)
    assert (attempt.outcome, attempt.error_type, attempt.retry_after_ms) == ("failed", error_type, None)


@pytest.mark.parametrize(("value", "error_type"), [(object(), "invalid_result"), ("x" * 70_000, "result_too_large")])
def test_a_result_that_cannot_be_kept_fails_it_for_good(value: object, error_type: str) -> None:
    attempt = of()
    settle.returned(attempt, value)
    assert (attempt.outcome, attempt.error_type, attempt.retry_after_ms) == ("failed", error_type, None)


def test_a_handler_to_whom_it_is_too_early_says_for_how_long() -> None:
    attempt = of()
    settle.returned(attempt, Snooze("5m"))
    assert (attempt.outcome, attempt.retry_after_ms, attempt.error_type) == ("snoozed", 300_000, None)


def test_a_handler_that_has_nothing_to_do_cancels_its_execution_and_says_why() -> None:
    attempt = of()
    settle.returned(attempt, Cancel("nothing to do"))
    assert (attempt.outcome, attempt.error_message, attempt.error_type) == ("cancelled", "nothing to do", None)


def test_code_that_was_asked_to_stop_by_control_is_cancelled_if_it_did_and_handed_back_if_it_is_fenced() -> None:
    for error in (asyncio.CancelledError(), AttemptCancelled()):
        cancelled, fenced, failed = of(), of(), of()
        cancelled.stopping, fenced.stopping, failed.stopping = "cancelled", "fenced", "cancelled"
        settle.raised(cancelled, error)
        settle.raised(fenced, error)
        settle.raised(failed, ValueError("while it cleaned up"))
        assert [one.outcome for one in (cancelled, fenced, failed)] == ["cancelled", "handed_back", "failed"]


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ((AttemptCancelled(), AttemptCancelled()), "cancelled"),
        ((BaseExceptionGroup("inner", [AttemptCancelled()]), asyncio.CancelledError()), "cancelled"),
        ((AttemptCancelled(), ValueError("while it cleaned up")), "failed"),
    ],
)
def test_of_parts_that_ran_side_by_side_all_have_to_have_stopped(parts: tuple[BaseException, ...], outcome: str) -> None:
    asked, not_asked = of(Retry(attempts=1)), of()
    asked.stopping = "cancelled"
    for attempt in (asked, not_asked):
        settle.raised(attempt, BaseExceptionGroup("unhandled errors in a TaskGroup", parts))
    assert (asked.outcome, not_asked.outcome) == (outcome, "failed")


def test_code_that_ends_after_its_time_has_timed_out_however_it_ends() -> None:
    for end in (lambda it: settle.returned(it, 1), lambda it: settle.raised(it, asyncio.CancelledError())):
        attempt = of()
        attempt.stopping = "timed_out"
        end(attempt)
        assert (attempt.outcome, attempt.error_type, attempt.error_message) == (
            "timed_out",
            "Timeout",
            "the attempt took longer than its 1.5 s",
        )
        assert attempt.retry_after_ms is not None


def test_code_that_was_asked_to_stop_for_the_workers_sake_is_handed_back_if_it_did() -> None:
    for error in (asyncio.CancelledError(), AttemptCancelled()):
        attempt = of()
        attempt.stopping = "handed_back"
        settle.raised(attempt, error)
        assert attempt.outcome == "handed_back"


def test_code_that_came_to_its_end_all_the_same_has_done_its_work() -> None:
    completed, failed = of(), of()
    completed.stopping = failed.stopping = "handed_back"
    settle.returned(completed, None)
    settle.raised(failed, ValueError())
    assert (completed.outcome, failed.outcome) == ("completed", "failed")


def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    attempt = of()
    settle.raised(attempt, asyncio.CancelledError())
    assert (attempt.outcome, attempt.error_type) == ("failed", "CancelledError")


class Mute(Exception):
    def __str__(self) -> str:
        raise self.args[0]


@pytest.mark.parametrize("failure", [RuntimeError("no text"), SystemExit(3), asyncio.CancelledError()])
def test_an_exception_whose_text_fails_is_still_a_failure(failure: BaseException) -> None:
    attempt = of()
    settle.raised(attempt, Mute(failure))
    assert (attempt.error_type, attempt.error_message) == ("Mute", f"Mute, whose text cannot be made: {type(failure).__name__}")


class Markup(str):
    """A text that knows where it may stand, as templates have them; no encoder takes it for a text."""

    __slots__ = ()

    def __getitem__(self, key: object) -> "Markup":
        return self


class Marked(Exception):
    def __str__(self) -> str:
        return Markup("<b>no</b>")


def test_a_text_of_a_kind_of_its_own_is_kept_as_a_text() -> None:
    failed, cancelled = of(), of()
    settle.raised(failed, Marked())
    settle.returned(cancelled, Cancel(Markup("no")))
    for text in (failed.error_message, cancelled.error_message, settle.clean_note(Markup("half")), settle.clean(Markup("ü" * 9), 4)):
        assert type(text) is str
    assert (failed.error_message, settle.clean(Markup("ü" * 9), 4)) == ("<b>no</b>", "üü")


@given(
    some.text(alphabet=some.characters(), max_size=3000) | some.text(alphabet="a\0\ud800\udfffü𝄞", max_size=5000), some.integers(1, 4096)
)
def test_a_clean_text_can_be_kept_by_every_reader(text: str, most: int) -> None:
    cleaned = settle.clean(text, most)
    assert "\0" not in cleaned
    assert len(cleaned.encode()) <= most
    check_json(wire.encode_many([cleaned]))


def test_a_harmless_text_stays_as_it_is() -> None:
    assert settle.clean("für Elise", 100) == "für Elise"
    assert settle.clean_note(None) is None
    assert settle.clean_note("ü" * 600) == "ü" * 500
