"""Exclusive executions: how many a second, and whether any two of one key ever overlapped. Seen in the log, by file locks, in a journal."""

import time
from typing import Final

from ledger.cli.measuring.bed import Bed, Say, bed
from ledger.cli.measuring.overlaps import overlaps_in_log, overlaps_of, read_runs
from ledger.cli.measuring.result import Result, result
from ledger.client.ledger import Ledger
from ledger.config import Settings
from ledger.core.refusal import LedgerError
from ledger.submitting.submission import Submission

WARM_UP: Final = 10_000
SHOWN: Final = 5


class Overlapped(LedgerError):
    """Two executions of one key ran at the same time."""


async def measure(settings: Settings, say: Say, *, runs: int, count: int, keys: int, slots: int) -> Result:
    """`count` executions of 1 ms a run, evenly over `keys`. Raises `Overlapped`."""
    async with bed(settings, say, limits={"slots": slots}) as made, Ledger.connect(made.settings) as ledger:
        await _run(ledger, WARM_UP, keys)
        done = WARM_UP
        await made.until_terminal(done)
        figures = []
        for run in range(runs):
            began = time.perf_counter()
            await _run(ledger, count, keys)
            done += count
            figures.append(count / (await made.until_terminal(done) - began))
            say(f"run {run + 1} of {runs}: {figures[-1]:.0f} executions/s")
        say("looking for overlaps")
        wrong = await _overlaps(made, done)
        if wrong:
            raise Overlapped(f"{len(wrong)} overlaps among {done} executions:\n" + "\n".join(wrong[:SHOWN]))
    return result(
        "exclusive",
        figures,
        "executions/s",
        f"{count} executions of 1 ms over {keys} keys and {slots} slots; one control, one runner, one projection; first submit until all "
        f"rows are terminal; overlaps over all {done} by the log's intervals, by flock in the handler, in the handlers' journal",
        {"overlaps": 0},
    )


async def _run(ledger: Ledger, count: int, keys: int) -> None:
    await ledger.submit_many(Submission("guarded", {"key": f"k{n % keys}"}, exclusive_key=f"k{n % keys}") for n in range(count))


async def _overlaps(made: Bed, expected: int) -> list[str]:
    """By each of the three witnesses; one that did not see all is wrong too."""
    journal = read_runs(made.folder)
    wrong = overlaps_of(journal)
    if len(journal) != expected:
        wrong.append(f"the journal holds {len(journal)} runs of {expected} executions")
    in_log, starts = await overlaps_in_log(made.settings)
    wrong += in_log
    if starts < expected:
        wrong.append(f"the log holds {starts} starts of {expected} executions")
    return wrong
