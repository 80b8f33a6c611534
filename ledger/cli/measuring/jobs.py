"""The handlers the benchmark runs: one that does nothing, and one that says when it began."""

import time

from ledger.handlers import Jobs

jobs = Jobs()


@jobs.job("noop")
async def noop(data: dict[str, object]) -> None:
    """Nothing."""


@jobs.job("stamp")
async def stamp(data: dict[str, object]) -> int:
    """The wall clock when user code began, in nanoseconds; the submitter reads the same clock."""
    return time.time_ns()
