"""What a handler sees of its attempt, and what it may answer instead of a result."""

import asyncio
import time
from collections.abc import Callable, Generator
from concurrent import futures
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, Unpack

import structlog

from ledger.core.execution import LONGEST_RETRY_MS
from ledger.core.offers import Offer
from ledger.core.refusal import LedgerError, Misconfigured
from ledger.core.request import Submit
from ledger.submitting.children import Children, Wish
from ledger.terms import Duration, milliseconds

DECISION: Final = 30.0  # seconds to wait for a decision
LOOK: Final = 0.2  # seconds between two looks whether a thread that waits for one was cancelled


class UnrecoverableError(LedgerError):
    """Raised by a handler: this execution fails now, whatever attempts are left."""


class ProcessDied(LedgerError):
    """The process of a handler with `run_in="process"` crashed, left, or was killed. Never raised in a handler: for `Retry(never=...)`."""


class AttemptCancelled(BaseException):
    """Raised by `Context.raise_if_cancelled`. Like asyncio's, no `Exception`: code that catches those does not swallow it."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """Returned by a handler: not now, run me again after `by` ("5m", at most a year). Not counted as an attempt, however often."""

    by: Duration

    def __post_init__(self) -> None:
        if milliseconds(self.by, "Snooze", zero=False) > LONGEST_RETRY_MS:
            raise Misconfigured(f"Snooze is {self.by!r}: at most a year")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Returned by a handler: there is nothing to do, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a handler submitted. `was_known`: it was there already, asked for by an earlier attempt or under the same key."""

    execution_id: str
    was_known: bool = False


class _Told:
    """Awaiting it lets others run, so that a busy coroutine that reports progress can be cancelled there. Not awaiting it is fine."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


_TOLD = _Told()

Progress = Callable[[int, str | None], None]


class Submits(Protocol):
    """Who takes what an attempt submits, from whatever thread. `blocks`: this thread waits for it."""

    def submit(self, command: Submit, timeout: float, *, blocks: bool) -> "Future[Submitted]": ...


class Context:
    """One attempt, as its handler sees it. Safe to use from any thread.

    `token` rises with every grant: hand it to what you write to, and let it refuse a lower one. `idempotency_key` is the submit's, else
    the execution's id without the number of its partition, which another takes the place of when the log grows: the same in every
    attempt, so give it to services that know how to ignore a repeat. `deadline` is when the time of
    this attempt is up, by this machine's clock. `cancelled` is true once it is, once the worker has to go, or once control wants this
    attempt to stop: then end soon.
    """

    __slots__ = ("_children", "_deadline", "_log", "_offer", "_report", "_submits", "cancelled")

    def __init__(self, offer: Offer, deadline: float | None = None, report: Progress | None = None, submits: Submits | None = None) -> None:
        """`deadline` by `time.monotonic`; `report` takes progress, from whatever thread."""
        self._offer = offer
        self._deadline = deadline
        self._report = report
        self._submits = submits
        self._children: Children | None = None
        self._log: structlog.typing.FilteringBoundLogger | None = None
        self.cancelled = False

    @property
    def job_id(self) -> str:
        return self._offer.job_id

    @property
    def job_name(self) -> str:
        return self._offer.job_name

    @property
    def job_version(self) -> int:
        return self._offer.job_version

    @property
    def execution_id(self) -> str:
        return self._offer.execution_id

    @property
    def attempt(self) -> int:
        return self._offer.attempt

    @property
    def token(self) -> int:
        return self._offer.token

    @property
    def tenant(self) -> str | None:
        return self._offer.tenant

    @property
    def tick_at(self) -> datetime | None:
        """The nominal instant of the tick that asked for this execution."""
        micros = self._offer.tick_at
        return None if micros is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)

    @property
    def deadline(self) -> datetime | None:
        if self._deadline is None:
            return None
        return datetime.now(UTC) + timedelta(seconds=self._deadline - time.monotonic())

    @property
    def idempotency_key(self) -> str:
        return self._offer.idempotency_key or self._offer.execution_id.rpartition("-")[0]

    @property
    def log(self) -> structlog.typing.FilteringBoundLogger:
        """A logger named after the job. The ids of the attempt are on every line, as they are on those of any other logger."""
        if self._log is None:
            self._log = structlog.get_logger(self._offer.job_name)
        return self._log

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise AttemptCancelled

    def progress(self, percent: int, note: str | None = None) -> _Told:
        """Tell how far it is, 0 to 100. Await it in a coroutine, just call it in a thread. Told at most twice a second."""
        if self._report is not None:
            self._report(percent, note)
        return _TOLD

    async def submit(self, job: str, data: object = None, *, timeout: float = DECISION, **wish: Unpack[Wish]) -> Submitted:
        """Run another job once, as `Ledger.submit` does, with its options. Returns when it is accepted, which is durable.

        Once per execution, however many attempts it takes: the n-th submit of a job is the same in each attempt, so their order must not
        change; else give each a `key`. It has this execution's tenant, unless another or None is given, and names this execution as its
        actor. Raises `Refused`, `Unavailable`, and `AttemptCancelled` once this attempt has to stop.
        """
        return await asyncio.wrap_future(self._submit(job, data, timeout, wish, blocks=False))

    def submit_blocking(self, job: str, data: object = None, *, timeout: float = DECISION, **wish: Unpack[Wish]) -> Submitted:
        """`submit` for a plain function, in its thread or process."""
        future = self._submit(job, data, timeout, wish, blocks=True)
        while not futures.wait([future], LOOK).done:
            if self.cancelled:
                future.cancel()
                raise AttemptCancelled
        return future.result()

    def _submit(self, job: str, data: object, timeout: float, wish: Wish, *, blocks: bool) -> "Future[Submitted]":
        self.raise_if_cancelled()
        if self._submits is None:
            raise Misconfigured("nothing is behind this context: only in an attempt that a worker runs can something be submitted")
        if self._children is None:
            self._children = Children(self._offer)
        return self._submits.submit(self._children.command(job, data, wish), timeout, blocks=blocks)


# The one thing that has to be global: which attempt the running code belongs to, so that every log line can name it.
current_attempt: ContextVar[Context | None] = ContextVar("current_attempt", default=None)
