"""Handlers that keep a journal: what really ran, how often, under which grant, in which process and when."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from msgspec import Struct

from ledger.cli.measuring import overlaps
from ledger.context import Context
from ledger.handlers import Jobs
from ledger.terms import Exclusive, Retry

JOURNAL = "FAULTS_JOURNAL"
EXCLUSIVE = "exclusive"  # the folder of the journal of exclusive code
jobs = Jobs()


class Line(Struct, frozen=True):
    """`at` is the machine's monotonic clock, the same for every process."""

    word: str  # start or end
    execution_id: str
    attempt: int
    token: int
    pid: int
    at: float


@cache
def _journal() -> int:
    return os.open(os.environ[JOURNAL], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _note(word: str, ctx: Context) -> None:
    """One write of one short line, so lines of several processes do not mix, and what was written survives a kill -9."""
    os.write(_journal(), f"{word} {ctx.execution_id} {ctx.attempt} {ctx.token} {os.getpid()} {time.monotonic():.6f}\n".encode())


@contextmanager
def noted(ctx: Context) -> Iterator[None]:
    _note("start", ctx)
    yield
    _note("end", ctx)


def read_journal(path: Path) -> list[Line]:
    lines = path.read_text().splitlines() if path.exists() else []
    found = (line.split() for line in lines)
    return [Line(word, execution, int(attempt), int(token), int(pid), float(at)) for word, execution, attempt, token, pid, at in found]


@jobs.job("probe", configured=False, retries=Retry(attempts=5, first="50ms", maximum="200ms"))
async def probe(data: dict[str, int], ctx: Context) -> dict[str, int]:
    """Takes `ms`; fails on its first attempts as often as `fails` says."""
    with noted(ctx):
        await asyncio.sleep(data.get("ms", 0) / 1000)
    if ctx.attempt <= data.get("fails", 0):
        raise RuntimeError("as it was told")
    return {"n": data.get("n", -1)}


@jobs.job("blocking", configured=False)
def blocking(data: dict[str, int], ctx: Context) -> None:
    """In a thread."""
    with noted(ctx):
        time.sleep(data.get("ms", 0) / 1000)


@jobs.job("held", configured=False)
async def held(data: dict[str, str], ctx: Context) -> None:
    """Until the file `until` is there."""
    with noted(ctx):
        await ctx.progress(1, "held")
        while not Path(data["until"]).exists():  # noqa: ASYNC110  # the word comes from another process
            await asyncio.sleep(0.02)


@contextmanager
def guarded_by(key: str, ctx: Context) -> Iterator[None]:
    """Noted as all else is, and in the journal of what excludes each other, which stands beside."""
    with noted(ctx), overlaps.noted(str(Path(os.environ[JOURNAL]).parent / EXCLUSIVE), key, ctx):
        yield


@jobs.job("guarded", configured=False, exclusive=Exclusive("key"))
async def guarded(data: dict[str, str], ctx: Context) -> None:
    """Takes `ms` under its key."""
    with guarded_by(data["key"], ctx):
        await asyncio.sleep(int(data["ms"]) / 1000)


@jobs.job("guarded-blocking", configured=False, exclusive=Exclusive("key"))
def guarded_blocking(data: dict[str, str], ctx: Context) -> None:
    """In a thread, and deaf to whoever asks it to stop."""
    with guarded_by(data["key"], ctx):
        time.sleep(int(data["ms"]) / 1000)


@jobs.job("killing", configured=False)
async def killing(ctx: Context) -> None:
    """Takes its worker with it, each time."""
    with noted(ctx):
        await ctx.progress(1, "now")
        os.kill(os.getpid(), signal.SIGKILL)
