"""What code in a process of its own submits: sent to the runner as a command, and answered by its number."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import assert_never

from ledger.context import AttemptCancelled, Submitted
from ledger.core.refusal import LedgerError, Misconfigured, Refused, Unavailable
from ledger.core.request import Submit
from ledger.submitting.encoding import check_size, encode_command
from processors.runner.attempt import Attempt
from processors.runner.child_wire import Answered, FromChild, Submits
from processors.runner.settle import LONGEST_MESSAGE, clean, text_of


class Submitting:
    """The process's side, of one attempt. Safe from any thread."""

    def __init__(self, send: Callable[[FromChild], None], numbers: Iterator[int]) -> None:
        self._send = send
        self._numbers = numbers
        self._lock = threading.Lock()
        self._asked: dict[int, Future[Submitted]] = {}
        self._over = False

    def submit(self, command: Submit, timeout: float, *, blocks: bool) -> "Future[Submitted]":
        seconds = float(timeout)
        check_size(encode_command(command), command.data)
        future: Future[Submitted] = Future()
        future.set_running_or_notify_cancel()  # it is answered, whoever gives up waiting
        with self._lock:
            if self._over:
                raise Refused("attempt_over", "the attempt has ended: it can submit nothing more")
            number = next(self._numbers)
            self._asked[number] = future
            self._send(Submits(number, command, seconds if math.isfinite(seconds) else None))
        return future

    def answered(self, answer: Answered) -> None:
        future = self._asked.pop(answer.number, None)
        if future is None:
            return
        if answer.fault is None:
            future.set_result(Submitted(answer.execution_id or "", answer.was_known))
        else:
            future.set_exception(_error_of(answer))

    def end(self) -> None:
        """Nothing is sent for this attempt after this, and who still waits is told."""
        with self._lock:
            self._over = True
        for number in list(self._asked):
            self.answered(Answered(number, fault="cancelled"))


def _error_of(answer: Answered) -> BaseException:
    match answer.fault:
        case "refused":
            return Refused(answer.reason, answer.detail)
        case "unavailable":
            return Unavailable(answer.detail)
        case "misconfigured" | None:
            return Misconfigured(answer.detail)
        case "cancelled":
            return AttemptCancelled()
        case "failed":
            return RuntimeError(answer.detail)
        case _:
            assert_never(answer.fault)


async def answer_to(asked: Submits, attempt: Attempt) -> Answered:
    """The runner's side."""
    number, timeout = asked.number, math.inf if asked.timeout is None else asked.timeout
    try:
        made = await asyncio.wrap_future(attempt.submit(asked.command, timeout, blocks=False))
    except AttemptCancelled:
        return Answered(number, fault="cancelled")
    except Refused as error:
        return Answered(number, fault="refused", reason=error.reason, detail=clean(error.detail, LONGEST_MESSAGE))
    except Unavailable as error:
        return Answered(number, fault="unavailable", detail=text_of(error))
    except LedgerError as error:
        return Answered(number, fault="misconfigured", detail=text_of(error))
    except Exception as error:  # whatever it was, the code waits for an answer; a thread would have been raised it
        return Answered(number, fault="failed", detail=clean(f"{type(error).__name__}: {text_of(error)}", LONGEST_MESSAGE))
    return Answered(number, made.execution_id, made.was_known)
