"""Step 6, perform: run the handler's code, in a task or in a thread. An attempt ends when its code has ended, not when its time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Protocol, cast

import structlog

from ledger.context import AttemptCancelled, current_attempt
from ledger.handlers import Handler
from processors.runner import settle
from processors.runner.attempt import Attempt

log = structlog.get_logger(__name__)


class Perform(Protocol):
    """One way to run code. Fills in the attempt's outcome, and never raises what the code raised."""

    async def __call__(self, attempt: Attempt) -> None: ...


async def in_task(attempt: Attempt) -> None:
    handler = _begin(attempt)
    try:
        arguments = arguments_of(attempt, handler)
        value = await cast("Callable[..., Awaitable[object]]", handler.function)(*arguments)  # the signature was read: it is a coroutine
        settle.returned(attempt, value)
    except BaseException as error:  # also what is no Exception: the code is not ours
        _settle_error(attempt, error)


class InThread:
    """Plain functions. A thread cannot be cancelled: its code is told by `Context.cancelled`, and keeps its slot until it ends."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def __call__(self, attempt: Attempt) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._run, attempt)

    def _run(self, attempt: Attempt) -> None:
        handler = _begin(attempt)
        try:
            settle.returned(attempt, handler.function(*arguments_of(attempt, handler)))
        except BaseException as error:  # also what is no Exception: the code is not ours
            _settle_error(attempt, error)
        finally:
            current_attempt.set(None)  # the thread is used again


def _begin(attempt: Attempt) -> Handler:
    handler = attempt.handler
    assert handler is not None, "resolved before it is performed"
    current_attempt.set(attempt.context)
    return handler


def arguments_of(attempt: Attempt, handler: Handler) -> tuple[object, ...]:
    """What the handler is called with. Raises what ends the attempt before its code begins."""
    signature = handler.signature
    context = (attempt.context,) if signature.takes_context else ()
    return (signature.read(attempt.offer.data), *context) if signature.takes_data else context


def _settle_error(attempt: Attempt, error: BaseException) -> None:
    settle.raised(attempt, error)
    if attempt.outcome == "failed":
        ours = type(error) in settle.FINAL or isinstance(error, asyncio.CancelledError | AttemptCancelled)
        log.warning(
            "the attempt failed",
            action="attempt.failed",
            error_type=attempt.error_type,
            error=attempt.error_message,
            retry_after_ms=attempt.retry_after_ms,
            exc_info=None if ours else error,
        )
    elif attempt.outcome == "timed_out":
        log.warning(
            "the attempt ran out of time", action="attempt.timed_out", timeout_ms=attempt.timeout_ms, retry_after_ms=attempt.retry_after_ms
        )
