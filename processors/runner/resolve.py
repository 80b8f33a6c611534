"""Step 2, resolve: which handler runs it, or why this worker cannot."""

from typing import Literal

from ledger.handlers import Jobs
from processors.runner.attempt import Attempt

ReturnReason = Literal["no_slot", "draining", "no_handler", "newer_version"]


def resolve(attempt: Attempt, jobs: Jobs) -> ReturnReason | None:
    """Fill in the handler and the budget. A reason means: give the offer back, another worker may know more. Data that is too old for
    the handler passes; it is told when the attempt is claimed, so that one worker alone says so."""
    offer = attempt.offer
    handler = jobs.get(offer.job_name)
    if handler is None:
        return "no_handler"
    if offer.job_version > handler.version:
        return "newer_version"
    attempt.handler = handler
    options = offer.options
    attempt.timeout_ms = handler.timeout_ms if options is None or options.timeout_ms is None else options.timeout_ms
    return None
