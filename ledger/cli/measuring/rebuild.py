"""Rebuild and verify: all tables from the log's first commit, and compared with it; each in a process of its own, for its memory."""

import asyncio
import time
from pathlib import Path
from typing import Final

import orjson

from ledger.cli.measuring import history
from ledger.cli.measuring.bed import Bed, Say, bed
from ledger.cli.measuring.result import Result, result
from ledger.config import Settings
from ledger.core.refusal import Unavailable

LOOK: Final = 0.1  # seconds between looks at its memory


async def measure(settings: Settings, say: Say, *, runs: int, events: int) -> list[Result]:
    """Events per second: of a rebuild until the tables are swapped (without the comparison that is its part else), and of a verify."""
    rebuilt, verified, memory = list[float](), list[float](), {"rebuild": 0.0, "verify": 0.0}
    async with bed(settings, say, work=False) as made:
        say(f"writing a log of {events} events")
        per_partition = events // 3 // made.settings.partitions
        written = sum(await asyncio.gather(*(history.write(made, number, per_partition) for number in range(made.settings.partitions))))
        for run in range(runs):
            rate, most = await asyncio.to_thread(_measured, made, "rebuild", "--no-verify")
            rebuilt.append(rate)
            memory["rebuild"] = max(memory["rebuild"], most)
            rate, most = await asyncio.to_thread(_measured, made, "verify")
            verified.append(rate)
            memory["verify"] = max(memory["verify"], most)
            say(f"run {run + 1} of {runs}: rebuild {rebuilt[-1]:.0f}, verify {verified[-1]:.0f} events/s")
    how = f"{written} events (requested, started, completed) in {made.settings.partitions} partitions, all tables"
    return [
        result("rebuild", rebuilt, "events/s", f"{how}, indexes included", {"memory_mb": round(memory["rebuild"])}),
        result("verify", verified, "events/s", f"{how}, row by row", {"memory_mb": round(memory["verify"])}),
    ]


def _measured(made: Bed, *command: str) -> tuple[float, float]:
    """Events a second as the command says it, and the most memory it had, in MB."""
    process = made.spawn("ledger.cli", "projections", command[0], "-o", "jsonl", *command[1:])
    most = 0.0
    while process.poll() is None:
        most = max(most, _peak_mb(process.pid))
        time.sleep(LOOK)
    if process.returncode:
        raise Unavailable(f"{' '.join(command)} ended with {process.returncode}; it said:\n{made.words(process)}")
    said = orjson.loads(made.words(process).strip().splitlines()[-1])
    return said["events"] / said["seconds"], most


def _peak_mb(pid: int) -> float:
    """Of its own memory: what `wait4` tells counts the parent's in, before the child became a program of its own. Only Linux says it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
