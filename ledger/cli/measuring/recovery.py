"""Recovery of control: how long a partition's actor needs until it knows its state, with a snapshot and from the first commit."""

import time

from ledger.cli.measuring import history
from ledger.cli.measuring.bed import Say, bed
from ledger.cli.measuring.result import Result, result
from ledger.config import Settings
from ledger.core.partition import Partition
from ledger.kafka.opening import check_identity
from processors.control import log_access
from processors.control.appender import Appender
from processors.control.snapshots import Snapshots


async def measure(settings: Settings, say: Say, *, runs: int, events: int) -> list[Result]:
    """Two results: with a snapshot, and from the first commit."""
    with_snapshot, from_start = [], []
    async with bed(settings, say, work=False) as made:
        say(f"writing a partition of {events} events")
        written = await history.write(made, 0, events // 3)
        identity = await check_identity(made.settings)
        appender = Appender(made.settings)
        for run in range(runs):
            began = time.perf_counter()
            fold = Partition(0)
            await log_access.catch_up(made.settings, fold)
            from_start.append(time.perf_counter() - began)
            if run == 0:
                await Snapshots.of_partition(made.settings, fold, appender).write()
            began = time.perf_counter()
            restored = Partition(0)
            await Snapshots.of_partition(made.settings, restored, appender).restore(identity)
            await log_access.catch_up(made.settings, restored)
            with_snapshot.append(time.perf_counter() - began)
            if restored.head != fold.head or restored.executions != fold.executions:
                raise AssertionError("the snapshot and the log give different states")
            say(f"run {run + 1} of {runs}: {with_snapshot[-1]:.2f} s with a snapshot, {from_start[-1]:.2f} s from the first commit")
        await appender.stop()
    how = f"a partition of {written} events whose executions are all remembered; state known, without start-up of the process and the group"
    return [
        result("recovery_snapshot", with_snapshot, "s", how),
        result("recovery_from_start", from_start, "s", how),
    ]
