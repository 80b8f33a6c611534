"""End to end: from the first submit until every row in Postgres is terminal."""

import asyncio
import time

from ledger.cli.measuring.bed import Bed, Say, bed
from ledger.cli.measuring.result import Result, result
from ledger.client.ledger import Ledger
from ledger.config import Settings

PAD = "x" * 100
WARM_UP = 150_000  # a broker that was just started compiles for so long; for small runs three times what one does


async def measure(settings: Settings, say: Say, *, runs: int, count: int, single: bool) -> Result:
    """`count` executions a run: by `submit_many`, or by as many single submits in flight together."""
    async with bed(settings, say) as made, Ledger.connect(made.settings) as ledger:
        done = min(WARM_UP, 3 * count)
        await _warm_up(made, ledger, done)
        figures = []
        for run in range(runs):
            began = time.perf_counter()
            await (_singly(ledger, count) if single else _together(ledger, count))
            submitted = time.perf_counter() - began
            done += count
            figures.append(count / (await made.until_terminal(done) - began))
            say(f"run {run + 1} of {runs}: {figures[-1]:.0f} executions/s (submitted in {submitted:.2f} s)")
    how = "single submits in flight together, one command a record, each decided" if single else "one submit_many"
    return result(
        "e2e_single" if single else "e2e",
        figures,
        "executions/s",
        f"{count} no-op executions by {how}; one control, one runner, one projection; first submit until all rows are terminal in Postgres",
    )


async def _warm_up(made: Bed, ledger: Ledger, count: int) -> None:
    """Until the broker's machine has compiled what it runs most: till then it takes up to three times the CPU."""
    made.say(f"warming up with {count} executions")
    await _together(ledger, count)
    await made.until_terminal(count)


async def _together(ledger: Ledger, count: int) -> None:
    await ledger.submit_many(("noop", {"i": number, "pad": PAD}) for number in range(count))


async def _singly(ledger: Ledger, count: int) -> None:
    await asyncio.gather(*(ledger.submit("noop", {"i": number, "pad": PAD}, timeout=120) for number in range(count)))
