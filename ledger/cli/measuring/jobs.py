"""The handlers the benchmark runs: one that does nothing, one that says when it began, and one that must never run beside itself."""

import asyncio
import os
import time
from functools import cache
from pathlib import Path

from ledger.cli.measuring.overlaps import noted
from ledger.context import Context
from ledger.handlers import Jobs
from ledger.terms import Exclusive

jobs = Jobs()


@jobs.job("noop")
async def noop(data: dict[str, object]) -> None:
    """Nothing."""


@jobs.job("stamp")
async def stamp(data: dict[str, object]) -> int:
    """The wall clock when user code began, in nanoseconds; the submitter reads the same clock."""
    return time.time_ns()


@cache
def _folder() -> str:
    """Looked up once: it is the platform that is measured."""
    return str(Path(os.environ["JOBLEDGER_CONFIG"]).parent)


@jobs.job("guarded", exclusive=Exclusive("key"))
async def guarded(data: dict[str, str], ctx: Context) -> None:
    """A millisecond under a key, with a note of it."""
    with noted(_folder(), data["key"], ctx):
        await asyncio.sleep(0.001)
