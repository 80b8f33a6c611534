"""Step 6, perform: run the handler's code, in a task or in a thread. An attempt ends when its code has ended, not when its time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from typing import Protocol, cast

import structlog

from ledger.context import AttemptCancelled, ProcessDied, current_attempt
from ledger.handlers import CallNext, Handler
from processors.forks import called
from processors.runner import settle
from processors.runner.attempt import Attempt

log = structlog.get_logger(__name__)


class Perform(Protocol):
    """One way to run code. Fills in the attempt's outcome, and never raises what the code raised."""

    async def __call__(self, attempt: Attempt) -> None: ...


async def in_task(attempt: Attempt) -> None:
    handler = begin(attempt)
    if handler.middleware:
        await in_middleware(attempt, handler, as_coroutine)
        return
    try:
        arguments = arguments_of(attempt, handler)
        value = await cast("Callable[..., Awaitable[object]]", handler.function)(*arguments)  # the signature was read: it is a coroutine
        settle.returned(attempt, value)
    except BaseException as error:  # also what is no Exception: the code is not ours
        settle_error(attempt, error)


class InThread:
    """Plain functions. A thread cannot be cancelled: its code is told by `Context.cancelled`, and keeps its slot until it ends."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def __call__(self, attempt: Attempt) -> None:
        handler = attempt.handler
        if handler is not None and handler.middleware:
            await in_middleware(attempt, handler, self._call)
        else:
            await asyncio.get_running_loop().run_in_executor(self._threads, run_plain, attempt)

    async def _call(self, attempt: Attempt, handler: Handler, arguments: tuple[object, ...]) -> object:
        """Returns when the code has ended, and not before: whoever gives up waiting gets that told to the code, and waits on."""
        assert attempt.context is not None
        call = partial(copy_context().run, for_a_future, handler.function, arguments)
        running, impatient = asyncio.get_running_loop().run_in_executor(self._threads, call), False
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                attempt.context.cancelled = impatient = True
        if impatient:
            running.exception()  # looked at
            raise asyncio.CancelledError
        return running.result()


def for_a_future(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    """A future takes any error but one. It becomes what Python makes of it in a coroutine, and so in what is wrapped around this."""
    try:
        return called(function, arguments)
    except StopIteration as error:
        raise RuntimeError("the code raised StopIteration") from error


def run_plain(attempt: Attempt) -> None:
    """A plain function, here and now."""
    handler = begin(attempt)
    try:
        settle.returned(attempt, called(handler.function, arguments_of(attempt, handler)))
    except BaseException as error:  # also what is no Exception: the code is not ours
        settle_error(attempt, error)
    finally:
        current_attempt.set(None)  # the thread is used again


Call = Callable[[Attempt, Handler, tuple[object, ...]], Awaitable[object]]


async def in_middleware(attempt: Attempt, handler: Handler, call: Call) -> None:
    """The code with what is wrapped around it, the first of them outermost. Data that does not fit is refused before."""
    begin(attempt)
    try:
        arguments, context = arguments_of(attempt, handler), attempt.context
        assert context is not None
        call_next: CallNext = partial(call, attempt, handler, arguments)
        for wrap in reversed(handler.middleware):
            call_next = partial(wrap, context, call_next)
        settle.returned(attempt, await call_next())
    except BaseException as error:  # also what is no Exception: the code is not ours
        settle_error(attempt, error)


async def as_coroutine(attempt: Attempt, handler: Handler, arguments: tuple[object, ...]) -> object:
    return await cast("Callable[..., Awaitable[object]]", handler.function)(*arguments)  # the signature was read: it is a coroutine


async def directly(attempt: Attempt, handler: Handler, arguments: tuple[object, ...]) -> object:
    """In this thread, which has nothing else to do."""
    return called(handler.function, arguments)


def begin(attempt: Attempt) -> Handler:
    """From here on the lines that are logged name the attempt."""
    handler = attempt.handler
    assert handler is not None, "resolved before it is performed"
    current_attempt.set(attempt.context)
    return handler


def arguments_of(attempt: Attempt, handler: Handler) -> tuple[object, ...]:
    """What the handler is called with. Raises what ends the attempt before its code begins."""
    if attempt.stopping is not None:  # before its first step
        raise asyncio.CancelledError
    refuse_without_lock(attempt)
    signature = handler.signature
    context = (attempt.context,) if signature.takes_context else ()
    return (signature.read(attempt.offer.data), *context) if signature.takes_data else context


def refuse_without_lock(attempt: Attempt) -> None:
    """This process may have stood still since control accepted the start, and the code waited for a thread or a process meanwhile."""
    guard = attempt.guard
    if guard is None:
        return
    if not guard.holds():
        attempt.stopping = attempt.stopping or "handed_back"
        raise asyncio.CancelledError
    guard.code_runs = True


def settle_error(attempt: Attempt, error: BaseException) -> None:
    """Fill in what follows from the error, and log it."""
    settle.raised(attempt, error)
    if attempt.outcome == "failed":
        ours = type(error) in settle.FINAL or isinstance(error, asyncio.CancelledError | AttemptCancelled | ProcessDied)
        try:
            _say_failed(attempt, None if ours else error)
        except BaseException:  # a traceback is made of texts of the user's, and one of them fails
            _say_failed(attempt, None)
    elif attempt.outcome == "timed_out":
        log.warning(
            "the attempt ran out of time", action="attempt.timed_out", timeout_ms=attempt.timeout_ms, retry_after_ms=attempt.retry_after_ms
        )


def _say_failed(attempt: Attempt, traced: BaseException | None) -> None:
    log.warning(
        "the attempt failed",
        action="attempt.failed",
        error_type=attempt.error_type,
        error=attempt.error_message,
        retry_after_ms=attempt.retry_after_ms,
        exc_info=traced,
    )
