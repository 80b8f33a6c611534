"""One attempt on its way through the pipeline: what was offered, what runs it, how it went, and what of that is still to be told."""

from asyncio import Task
from concurrent.futures import Future
from typing import Literal, Protocol

from msgspec import Raw

from ledger.context import Context, Submitted
from ledger.core.bodies import NOTHING
from ledger.core.execution import Report
from ledger.core.ids import WorkerId
from ledger.core.limits import Limit
from ledger.core.offers import Offer
from ledger.core.refusal import Misconfigured
from ledger.core.request import Submit
from ledger.handlers import Handler

Outcome = Literal["completed", "failed", "timed_out", "handed_back", "skipped", "cancelled", "snoozed"]
Stopping = Literal["timed_out", "handed_back", "cancelled", "fenced"]


class Guard(Protocol):
    """The lock of an exclusive attempt."""

    code_runs: bool  # its code may have begun

    def holds(self) -> bool:
        """Now; safe from any thread."""


class Submits(Protocol):
    """Takes what an attempt submits."""

    def __call__(self, attempt: "Attempt", command: Submit, timeout: float, *, blocks: bool) -> "Future[Submitted]": ...


class Attempt:
    """Mutable on purpose: it is made once per offer, and every step fills in its part. Times are monotonic seconds."""

    __slots__ = (
        "answer",
        "arrived",
        "claim",
        "context",
        "due",
        "ended",
        "error_message",
        "error_type",
        "guard",
        "handler",
        "limited_by",
        "limits",
        "note",
        "offer",
        "offered_ms",
        "outcome",
        "partition",
        "patience",
        "progress",
        "progress_told",
        "result",
        "retry_after_ms",
        "said_start",
        "start_again",
        "started",
        "stopping",
        "submits",
        "takes_next",
        "task",
        "timeout_ms",
        "untold_progress",
    )

    def __init__(self, offer: Offer, partition: int, claim: str, offered_ms: int, arrived: float) -> None:
        self.offer = offer
        self.partition = partition  # of the log, where its reports go
        self.claim = claim  # the Redis key that says who performs this grant
        self.offered_ms = offered_ms  # the broker's append time of the offer
        self.arrived = arrived
        self.handler: Handler | None = None
        self.context: Context | None = None
        self.limits: tuple[Limit, ...] = ()  # over all workers, that it has to keep within
        self.limited_by: Limit | None = None  # it waits here because this one is reached
        self.timeout_ms: int | None = None
        self.started = 0.0
        self.ended = 0.0  # set by the event loop, after a thread may have set the outcome
        self.task: Task[None] | None = None
        self.due = 0.0  # when its time is up, later when its stubbornness is
        self.stopping: Stopping | None = None  # asked to stop, and why
        self.patience: float | None = None  # seconds that it has for that, where somebody cancelled it
        self.outcome: Outcome | None = None
        self.result: Raw = NOTHING
        self.error_type: str | None = None
        self.error_message: str | None = None
        self.retry_after_ms: int | None = None
        self.progress: int | None = None
        self.note: str | None = None
        self.untold_progress = False
        self.progress_told = -1.0  # when it was told last
        self.said_start = False
        self.start_again = False  # nobody answered it
        self.answer: str | None = None  # where control answers its start
        self.guard: Guard | None = None
        self.takes_next = False  # once it has ended: this worker would go on with the next in line of its key
        self.submits: Submits | None = None

    def submit(self, command: Submit, timeout: float, *, blocks: bool) -> "Future[Submitted]":
        """From whatever thread."""
        if self.submits is None:
            raise Misconfigured(f"what performs {self.offer.job_name} can submit nothing")
        return self.submits(self, command, timeout, blocks=blocks)

    def reports(self, worker: WorkerId, now: float) -> list[Report]:
        """What has to be told by now, in order; a start is implied by whatever follows it. Telling it is up to the caller."""
        ago_ms = max(0, round((now - self.started) * 1000))
        told: list[Report] = []
        if self.untold_progress:
            self.untold_progress, self.progress_told = False, now
            told.append(
                Report(
                    self.offer.execution_id,
                    self.offer.token,
                    worker,
                    ago_ms,
                    self.timeout_ms,
                    progress=self.progress,
                    note=self.note,
                )
            )
        if self.ended:
            told.append(self._last_report(worker, ago_ms))
        elif not told and (self.start_again or not self.said_start):
            told.append(Report(self.offer.execution_id, self.offer.token, worker, ago_ms, self.timeout_ms, answer=self.answer))
            self.start_again = False
        self.said_start = True
        return told

    def _last_report(self, worker: WorkerId, ago_ms: int) -> Report:
        return Report(
            self.offer.execution_id,
            self.offer.token,
            worker,
            ago_ms,
            self.timeout_ms,
            outcome=self.outcome,
            run_ms=max(0, round((self.ended - self.started) * 1000)),
            result=self.result,
            error_type=self.error_type,
            error_message=self.error_message,
            retry_after_ms=self.retry_after_ms,
            takes_next=self.takes_next,
            skip_reason="version_too_old" if self.outcome == "skipped" else None,
        )
