"""Step 7, settle: what the code did becomes the outcome of the attempt, in texts and numbers that the log can keep."""

from asyncio import CancelledError
from typing import Final

from msgspec import Raw

from ledger.context import AttemptCancelled, Cancel, ProcessDied, Snooze, UnrecoverableError
from ledger.core.retry import policy_for, retry_after_ms, spread_of
from ledger.signature import InvalidData, InvalidResult, ResultTooLarge
from ledger.terms import milliseconds
from processors.runner.attempt import Attempt

LONGEST_MESSAGE: Final = 4096  # bytes
LONGEST_NOTE: Final = 500  # characters
LONGEST_TYPE: Final = 200


# Ours: the word that is stored as `error_type`. None of them is mended by trying again.
FINAL: Final[dict[type[BaseException], str]] = {
    InvalidData: "invalid_data",
    InvalidResult: "invalid_result",
    ResultTooLarge: "result_too_large",
}
NAMED = FINAL | {ProcessDied: "process_died"}


def returned(attempt: Attempt, value: object) -> None:
    """The code came to its end."""
    if attempt.stopping == "timed_out":
        timed_out(attempt)
        return
    if isinstance(value, Cancel):
        cancelled(attempt, value.reason)
        return
    if isinstance(value, Snooze):
        snoozed(attempt, value)
        return
    assert attempt.handler is not None
    try:
        result = attempt.handler.signature.write(value)
    except (InvalidResult, ResultTooLarge) as error:
        raised(attempt, error)
    else:
        completed(attempt, result)


def completed(attempt: Attempt, result: Raw) -> None:
    attempt.outcome, attempt.result = "completed", result


def raised(attempt: Attempt, error: BaseException) -> None:
    """The code ended by an exception, or was not begun because of one."""
    if attempt.stopping == "timed_out":
        timed_out(attempt)
    elif attempt.stopping is not None and _has_stopped(error):
        if attempt.stopping == "cancelled":
            cancelled(attempt, None)
        else:
            handed_back(attempt)
    else:
        attempt.outcome = "failed"
        attempt.error_type = NAMED.get(type(error)) or clean(type(error).__name__, LONGEST_TYPE)
        attempt.error_message = text_of(error)
        attempt.retry_after_ms = _retry_after_ms(attempt, error)


def _has_stopped(error: BaseException) -> bool:
    """Because it was asked to; of a group (of tasks), every part of it."""
    if isinstance(error, BaseExceptionGroup):
        return all(_has_stopped(one) for one in error.exceptions)
    return isinstance(error, CancelledError | AttemptCancelled)


def timed_out(attempt: Attempt) -> None:
    attempt.outcome = "timed_out"
    attempt.error_type = "Timeout"
    attempt.error_message = f"the attempt took longer than its {(attempt.timeout_ms or 0) / 1000:g} s"
    attempt.retry_after_ms = _retry_after_ms(attempt, None)


def too_old(attempt: Attempt) -> None:
    """Its version is one that the handler does not support any more: no code runs, and nothing has failed."""
    offer, handler = attempt.offer, attempt.handler
    assert handler is not None
    attempt.outcome = "skipped"
    attempt.error_message = clean(
        f"version {offer.job_version} of {offer.job_id}; {handler.name} supports {handler.minimal_supported_version} to {handler.version}",
        LONGEST_MESSAGE,
    )


def cancelled(attempt: Attempt, why: str | None) -> None:
    """It stopped because it was asked to, or answered that there is nothing to do."""
    attempt.outcome = "cancelled"
    attempt.error_message = None if why is None else clean(str(why), LONGEST_MESSAGE)


def snoozed(attempt: Attempt, wish: Snooze) -> None:
    """It answered that it is too early."""
    attempt.outcome, attempt.retry_after_ms = "snoozed", milliseconds(wish.by, "Snooze")


def handed_back(attempt: Attempt) -> None:
    attempt.outcome = "handed_back"


def _retry_after_ms(attempt: Attempt, error: BaseException | None) -> int | None:
    handler, offer = attempt.handler, attempt.offer
    if handler is None or type(error) in FINAL or isinstance(error, UnrecoverableError):
        return None
    if error is not None and not handler.retries.allows(error):
        return None
    return retry_after_ms(policy_for(offer.options, handler.policy), offer.attempt, spread_of(offer.execution_id, offer.attempt))


def text_of(error: BaseException) -> str:
    try:
        text = str(error) or repr(error)
    except BaseException as failure:  # an exception of the user whose own text fails, in whatever way
        text = f"{type(error).__name__}, whose text cannot be made: {type(failure).__name__}"
    return clean(text, LONGEST_MESSAGE)


def clean(text: str, most: int) -> str:
    """At most `most` bytes of it, as every reader can keep them: no NUL, no lone surrogates, cut between characters."""
    text = str.__str__(text)  # what derives from it may be no text to an encoder, and has methods of its own
    if len(text) <= most and text.isascii() and "\0" not in text:
        return text
    encoded = text[:most].replace("\0", "\ufffd").encode("utf-8", "replace")
    return encoded[:most].decode("utf-8", "ignore")


def clean_note(note: str | None) -> str | None:
    return None if note is None else clean(note, 4 * LONGEST_NOTE)[:LONGEST_NOTE]
