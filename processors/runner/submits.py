"""What handlers submit from inside their attempts, through one client of this process that the first of them opens."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol

from ledger.config import Settings
from ledger.context import AttemptCancelled, Submitted
from ledger.core.refusal import Misconfigured, Refused
from ledger.core.request import Submit
from ledger.handlers import Jobs
from processors.runner.attempt import Attempt
from processors.runner.perform import Perform, refuse_without_lock

# By its name: the client stands above the processors, and where no handler submits it is never loaded.
CLIENT: Final = "ledger.client.of_attempts"
CLOSING: Final = 2.0  # seconds; who submits waits until it is accepted, so nothing is under way then


class Client(Protocol):
    async def submit(self, command: Submit, timeout: float) -> Submitted: ...

    async def close(self) -> None: ...


Open = Callable[[], Awaitable[Client]]


def client_of(settings: Settings, jobs: Jobs) -> Open:
    async def opened() -> Client:
        module = await asyncio.to_thread(import_module, CLIENT)  # it takes most of a second, in which others work on
        client: Client = module.AttemptsClient(settings, jobs)
        return client

    return opened


class Submits:
    """Made inside the event loop of the runner; called from any thread."""

    def __init__(self, open_client: Open) -> None:
        self._open = open_client
        self._opening: asyncio.Future[Client] | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def __call__(self, attempt: Attempt, command: Submit, timeout: float, *, blocks: bool) -> "Future[Submitted]":
        if blocks and threading.get_ident() == self._thread:
            raise Misconfigured(f"{attempt.offer.job_name} would block its whole worker: write `await ctx.submit(...)` in a coroutine")
        # the client is everybody's: what it begins is not to be logged as this attempt's
        return Context().run(asyncio.run_coroutine_threadsafe, self._submit(attempt, command, timeout), self._loop)

    async def _submit(self, attempt: Attempt, command: Submit, timeout: float) -> Submitted:
        refuse_what_is_over(attempt)
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.ensure_future(self._open())
        client = await asyncio.shield(self._opening)
        refuse_what_is_over(attempt)  # loading it took a while
        return await client.submit(command, timeout)

    async def close(self) -> None:
        if self._opening is None or not self._opening.done() or self._opening.exception() is not None:
            return  # nothing was sent by it
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self._opening.result().close()


def refuse_what_is_over(attempt: Attempt) -> None:
    """Nothing is submitted for an attempt that counts no more: another may run in its place."""
    if attempt.ended or attempt.context is None:
        raise Refused("attempt_over", f"an attempt of {attempt.offer.execution_id} has ended: it can submit nothing more")
    try:
        refuse_without_lock(attempt)
    except asyncio.CancelledError:
        raise AttemptCancelled from None
    attempt.context.raise_if_cancelled()


@dataclass(frozen=True, slots=True)
class Submitting:
    """A way to perform code that may submit."""

    perform: Perform
    submits: Submits

    def __call__(self, attempt: Attempt) -> Coroutine[None, None, None]:
        attempt.submits = self.submits
        return self.perform(attempt)
