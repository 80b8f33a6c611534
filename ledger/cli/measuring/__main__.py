"""`make bench`: all measurements but `tenants` and `idle`, on a stack of its own, one after the other; a JSON array on stdout."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from msgspec import json

from ledger.cli.measuring import e2e, exclusive, latency, reads, rebuild, recovery, schedules
from ledger.cli.measuring.result import Result
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.stack import Stack

RUNS = 3


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


async def measure_all(settings: Settings) -> list[Result]:
    results: list[Result] = []
    parts: list[tuple[str, Callable[[], Awaitable[Result | list[Result]]]]] = [
        ("e2e", lambda: e2e.measure(settings, say, runs=RUNS, count=50_000, single=False)),
        ("e2e, single submits", lambda: e2e.measure(settings, say, runs=RUNS, count=20_000, single=True)),
        ("latency", lambda: latency.measure(settings, say, runs=RUNS, count=500)),
        ("exclusive", lambda: exclusive.measure(settings, say, runs=RUNS, count=20_000, keys=50, slots=20)),
        ("schedules", lambda: schedules.measure(settings, say, runs=1, jobs=1000, seconds=60, jitter=None)),
        ("rebuild", lambda: rebuild.measure(settings, say, runs=RUNS, events=600_000)),
        ("reads", lambda: reads.measure(settings, say, executions=1_000_000, reads=200)),
        ("recovery", lambda: recovery.measure(settings, say, runs=RUNS, events=1_000_000)),
    ]
    for name, part in parts:
        say(name)
        measured = await part()
        results += measured if isinstance(measured, list) else [measured]
    return results


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="jobledger-bench-") as folder, Stack.start(Path(folder), on_progress=say) as stack:
        config = Path(folder) / "jobledger.yaml"
        config.write_text("prefix: bench\n")
        servers = {
            "JOBLEDGER_KAFKA__BOOTSTRAP": stack.kafka,
            "JOBLEDGER_REDIS__URL": stack.redis,
            "JOBLEDGER_DATABASE__URL": stack.database,
        }
        os.environ.update(servers)
        settings = load_settings(config, os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(measure_all(settings))
    sys.stdout.write(json.format(json.encode(results), indent=2).decode() + "\n")


main()
