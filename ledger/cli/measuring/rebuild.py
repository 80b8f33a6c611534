"""Rebuild: the execution tables from the log's first commit."""

import asyncio
import time

from ledger.cli.measuring import history
from ledger.cli.measuring.bed import Say, bed
from ledger.cli.measuring.result import Result, result
from ledger.config import Settings
from projections.rebuild import rebuild


async def measure(settings: Settings, say: Say, *, runs: int, events: int) -> Result:
    """Events per second, from the first commit read until the tables are swapped."""
    figures = []
    async with bed(settings, say, work=False) as made:
        say(f"writing a log of {events} events")
        per_partition = events // 3 // made.settings.partitions
        written = await asyncio.gather(*(history.write(made, number, per_partition) for number in range(made.settings.partitions)))
        for run in range(runs):
            began = time.perf_counter()
            await rebuild(made.settings)
            figures.append(sum(written) / (time.perf_counter() - began))
            say(f"run {run + 1} of {runs}: {figures[-1]:.0f} events/s")
    how = f"{sum(written)} events (requested, started, completed) in {made.settings.partitions} partitions, all tables, indexes included"
    return result("rebuild", figures, "events/s", how)
