"""Handlers that write a journal: one line per begin and end, so that a test sees what really ran, and in which process."""

import asyncio
import os
import time
from pathlib import Path

from ledger.context import Context
from ledger.handlers import Jobs

jobs = Jobs()


def journal(word: str, ctx: Context) -> None:
    with Path(os.environ["PROBE_JOURNAL"]).open("a") as file:
        file.write(f"{word} {ctx.execution_id} {os.getpid()}\n")


@jobs.job("quick")
async def quick(data: dict[str, int], ctx: Context) -> dict[str, int]:
    journal("quick", ctx)
    return data


@jobs.job("ping")
async def ping(data: object) -> None:
    """Leaves no trace but its report."""


@jobs.job("endless")
async def endless(ctx: Context) -> None:
    journal("begin", ctx)
    await ctx.progress(10, "begun")
    await asyncio.Event().wait()


@jobs.job("stubborn")
def stubborn(ctx: Context) -> None:
    journal("begin", ctx)
    while True:
        time.sleep(0.1)


@jobs.job("burning", run_in="process")
def burning(ctx: Context) -> None:
    journal("begin", ctx)
    while True:
        journal("works", ctx)
        time.sleep(0.05)


@jobs.job("reckoning", run_in="process")
def reckoning(data: dict[str, int]) -> list[int]:
    return [data["n"], os.getpid()]


@jobs.job("until-told")
async def until_told(ctx: Context) -> None:
    """Ends when the file appears that is named after the execution."""
    journal("begin", ctx)
    word = Path(os.environ["PROBE_JOURNAL"]).with_name(ctx.execution_id)
    while not word.exists():  # noqa: ASYNC110  # the word comes from another process
        await asyncio.sleep(0.01)
    journal("end", ctx)
