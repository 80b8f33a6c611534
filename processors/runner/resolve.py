"""Step 2, resolve: which handler runs it, or why this worker cannot."""

from collections.abc import Mapping
from typing import Final, Literal

import structlog

from ledger.core.refusal import Misconfigured
from ledger.handlers import Handler, Jobs, RunIn
from processors.runner.attempt import Attempt
from processors.runner.perform import Perform

log = structlog.get_logger(__name__)
ReturnReason = Literal["no_slot", "draining", "locked", "limited", "no_handler", "newer_version"]
MOST_SAID: Final = 1000


def resolve(attempt: Attempt, jobs: Jobs) -> ReturnReason | None:
    """Fill in the handler and the budget. A reason means: give the offer back, another worker may know more. Data that is too old for
    the handler passes; it is told when the attempt is claimed, so that one worker alone says so."""
    offer = attempt.offer
    handler = jobs.get(offer.job_name)
    if handler is None:
        return "no_handler"
    if offer.job_version > handler.version and not offer.by_content:
        return "newer_version"
    attempt.handler = handler
    options = offer.options
    attempt.timeout_ms = handler.timeout_ms if options is None or options.timeout_ms is None else options.timeout_ms
    return None


class Unknown:
    """Says of each job and version once that this worker has no code for it."""

    def __init__(self) -> None:
        self._said: set[tuple[str, int]] = set()

    def say(self, attempt: Attempt, reason: ReturnReason) -> None:
        offer = attempt.offer
        kind = offer.job_name, offer.job_version
        if kind in self._said or len(self._said) >= MOST_SAID:
            return
        self._said.add(kind)
        log.warning(
            "this worker has no code for it and hands it back; another worker may",
            action="offer.unfit",
            reason=reason,
            job_name=offer.job_name,
            job_version=offer.job_version,
            execution_id=offer.execution_id,
        )


def is_too_old(attempt: Attempt) -> bool:
    """Its handler supports such data no more."""
    offer, handler = attempt.offer, attempt.handler
    return handler is not None and offer.job_version < handler.minimal_supported_version and not offer.by_content


def in_process(handler: Handler) -> bool:
    return handler.run_in == "process"


def refuse_what_cannot_run(jobs: Jobs, ways: Mapping[RunIn, Perform]) -> None:
    """Raises `Misconfigured` for a handler that this runner has no way to perform."""
    for handler in jobs:
        if handler.run_in not in ways:
            raise Misconfigured(
                f"{handler.name} ({handler.place}) wants run_in={handler.run_in!r}, which this worker cannot do: its processes have to be "
                f"told where the handlers are, as `module:attribute`; name them so, or leave run_in out, then it runs in a thread"
            )
