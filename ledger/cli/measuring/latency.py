"""Latency of an idle system: from a submit to the start of the handler, both by the same machine's clock."""

import asyncio
import time
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from ledger.cli.measuring.bed import Bed, Say, bed
from ledger.cli.measuring.result import Result, percentile, result
from ledger.client.ledger import Ledger
from ledger.config import Settings
from projections.connecting import conninfo_of

APART: Final = 0.02
WARM_UP: Final = 50


async def measure(settings: Settings, say: Say, *, runs: int, count: int) -> Result:
    """The median of the runs' p50; p95 and p99 beside it."""
    async with bed(settings, say) as made, Ledger.connect(made.settings) as ledger:
        done = 0
        p50s, p95s, p99s = [], [], []
        for run in range(runs):
            submitted = await _submit(ledger, count + WARM_UP)
            done += count + WARM_UP
            await made.until_terminal(done)
            started = await _started(made)
            waits = [(started[execution] - at) / 1e6 for execution, at in list(submitted.items())[WARM_UP:]]
            p50s.append(percentile(waits, 0.50))
            p95s.append(percentile(waits, 0.95))
            p99s.append(percentile(waits, 0.99))
            say(f"run {run + 1} of {runs}: p50 {p50s[-1]:.1f} ms, p95 {p95s[-1]:.1f}, p99 {p99s[-1]:.1f}")
    how = f"{count} submits {APART * 1000:g} ms apart on an idle system; submit called -> first line of the handler; p50"
    more = {"p95": percentile(p95s, 0.5), "p99": percentile(p99s, 0.5)}
    return result("latency", p50s, "ms", how, {name: round(value, 3) for name, value in more.items()})


async def _submit(ledger: Ledger, count: int) -> dict[str, int]:
    """Execution id -> when its submit was called, in nanoseconds."""
    submitted: dict[str, int] = {}

    async def one() -> None:
        called = time.time_ns()
        submitted[(await ledger.submit("stamp", {})).execution_id] = called

    waiting = []
    try:
        for _ in range(count):
            waiting.append(asyncio.create_task(one()))
            await asyncio.sleep(APART)
        await asyncio.gather(*waiting)
    finally:
        for submit in waiting:
            submit.cancel()  # nobody asks any more for what became of it
    return submitted


async def _started(made: Bed) -> dict[str, int]:
    query = SQL("select execution_id, result::bigint from {}.job_executions where job_id = 'stamp'").format(
        Identifier(made.settings.database.table_schema)
    )
    async with await psycopg.AsyncConnection.connect(conninfo_of(made.settings)) as connection:
        return {row[0]: row[1] for row in await (await connection.execute(query)).fetchall()}
