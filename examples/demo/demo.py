"""The whole story once, on the real servers: `make demo`.

Starts Kafka, Valkey and PostgreSQL, applies a YAML with two system jobs, shows ticks firing, a job with progress, a worker killed in the
middle of a job, the tables, why a tick ran, a rebuild and a verify; then stops everything. At most two minutes; exit code 0 if all of it
went as told.
"""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console
from rich.table import Table

from ledger import Ledger
from ledger.client.applying import apply_configuration
from ledger.client.handle import ExecutionHandle
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core.refusal import LedgerError
from ledger.handlers import load_jobs
from ledger.kafka import opening, topics
from ledger.stack import Stack, state
from ledger.version import __version__
from processors.supervisor import die_with_parent
from projections import schema
from projections.rebuild import rebuild
from projections.verify import Verified, verify

HERE: Final = Path(__file__).parent
PLACE: Final = Path(".jobledger/demo")
STACK: Final = PLACE.absolute() / "stack"
PATIENCE: Final = 60.0
T = TypeVar("T")

screen = Console(highlight=False)


def title(text: str) -> None:
    screen.print(f"\n[bold]{text}[/bold]")


def say(text: str) -> None:
    screen.print(f"  {text}", soft_wrap=True)


class Processes:
    """The processes of the demo, by name. They end with it, even where it is killed (on Linux)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *module: str) -> None:
        with (PLACE / f"{name}.log").open("ab") as words:
            command = [sys.executable, "-m", *module]
            self._running[name] = subprocess.Popen(
                command,
                cwd=HERE,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                preexec_fn=die_with_parent(os.getpid()),
            )

    def name_of(self, worker: str) -> str:
        """The process behind a worker id, which holds the process id."""
        return next(name for name, process in self._running.items() if f"-{process.pid}-" in worker)

    def kill(self, name: str) -> int:
        process = self._running.pop(name)
        process.kill()
        process.wait()
        return process.pid

    def stop(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


async def until(what: str, look: Callable[[], Awaitable[T | None]]) -> T:
    """Look again and again until there is something. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (found := await look()) is not None:
            return found
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{what}: not within {PATIENCE:g} s; the words of the processes are in {PLACE}")


async def ticks(ledger: Ledger) -> None:
    title("Ticks fire")

    async def three_each() -> dict[str, int] | None:
        counts = {}
        for job in ("heartbeat", "clean-carts"):
            page = await ledger.executions.list(job=job, state="completed", limit=10)
            counts[job] = len(page.items)
        return counts if min(counts.values()) >= 2 else None

    for job, count in (await until("ticks", three_each)).items():
        say(f"{job}: {count} ticks have run")


async def progress(ledger: Ledger) -> None:
    title("A job is submitted, progresses and finishes")
    handle = await ledger.submit("import-customers", {"customers": 500, "seconds": 2.0}, follow=True, correlation_id="demo-1")
    say(f"accepted as {handle.execution_id}")
    async for update in handle.progress():
        note = f" {update.progress} % {update.note}" if update.progress is not None else ""
        say(f"{update.state}{note}")
    say(f"result {await handle.result(timeout=PATIENCE)}")


async def kill_and_rescue(ledger: Ledger, processes: Processes) -> None:
    title("A worker is killed in the middle of a job")
    handle = await ledger.submit("import-customers", {"customers": 900, "seconds": 4.0})

    async def worker() -> str | None:
        row = await handle.row()
        return row.worker if row is not None and row.state in ("active", "processing") else None

    first = await until("the start", worker)
    pid = processes.kill(processes.name_of(first))
    say(f"{first} had it: kill -9 {pid}")
    say(f"result {await handle.result(timeout=PATIENCE)}, by another worker:")
    await show_attempts(ledger, handle)


async def show_attempts(ledger: Ledger, handle: ExecutionHandle) -> None:
    async def both_ended() -> bool | None:
        attempts = await ledger.executions.attempts(handle.execution_id)
        return True if len(attempts) >= 2 and all(attempt.state != "active" for attempt in attempts) else None

    await until("two attempts", both_ended)
    table = Table("attempt", "state", "worker", "token")
    for attempt in await ledger.executions.attempts(handle.execution_id):
        table.add_row(str(attempt.attempt), attempt.state, attempt.worker, str(attempt.token))
    screen.print(table)


async def tables(ledger: Ledger) -> None:
    title("The tables")
    table = Table("job", "kind", "version", "last executions")
    for job in (await ledger.definitions.list()).items:
        page = await ledger.executions.list(job=job.job_id, limit=5)
        table.add_row(job.job_id, job.kind, str(job.current_version), ", ".join(row.state for row in page.items))
    screen.print(table)


async def why(ledger: Ledger) -> None:
    title("Why a tick ran, or did not")
    found = await ledger.why("heartbeat")
    say(f"{found.expected} ticks of heartbeat were expected: {', '.join(f'{count} {name}' for name, count in found.counts.items())}")
    for tick in (found.ticks[0], *(one for one in found.ticks[1:] if one.class_ in ("late", "skipped", "missed"))):
        say(f"{tick.tick_at:%H:%M:%S} {tick.class_}: {tick.why}")
    if "unexplained" in found.counts:
        raise AssertionError("a tick has no explanation")


async def prove(settings: Settings) -> None:
    title("The tables are thrown away, built again from the log, and compared with it")
    rebuilt = await rebuild(settings)
    say(f"rebuilt from {rebuilt.events} events")
    verified = Verified()
    differences = [difference async for difference in verify(settings, verified)]
    for difference in differences:
        say(str(difference))
    say(f"{len(differences)} differences in {sum(verified.rows.values())} rows of {len(verified.rows)} tables")
    if differences:
        raise AssertionError("the tables differ from the log")


async def story(settings: Settings, environment: Mapping[str, str]) -> None:
    await topics.apply(settings)
    identity = await opening.open_log(settings)
    await asyncio.to_thread(schema.upgrade, settings)
    say(f"log {identity.log_id} of {identity.partitions} partitions; topics and tables are there")
    processes = Processes(environment)
    try:
        processes.start("control", "processors.control")
        processes.start("runner-1", "processors.runner", "--queue", "default")
        processes.start("runner-2", "processors.runner", "--queue", "default")
        processes.start("projections", "ledger.cli", "projections", "run")
        title("A YAML with two system jobs is applied")
        report = await apply_configuration(settings, load_jobs("jobs:jobs"), actor="demo", timeout=PATIENCE)
        for change in report.changes:
            say(f"{change.verdict} {change.job_id}")
        async with Ledger.connect(settings) as ledger:
            await ticks(ledger)
            await progress(ledger)
            await kill_and_rescue(ledger, processes)
            await tables(ledger)
            await why(ledger)
    finally:
        processes.stop()
    await prove(settings)


def fresh_place() -> None:
    """A run that was killed leaves its folder; its servers end with it, which takes a moment. Raises TimeoutError."""
    limit = time.monotonic() + PATIENCE
    while state(STACK) != "stopped":
        if time.monotonic() > limit:
            raise TimeoutError(f"another demo runs in {PLACE.absolute()}: let it end, or go to another folder")
        time.sleep(0.1)
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True, exist_ok=True)


def main() -> int:
    began = time.monotonic()
    screen.print(f"jobledger {__version__}: the whole story once. The first run fetches 44 MB of jars.")
    fresh_place()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    title("Servers")
    with Stack.start(STACK, fast=True, on_progress=say) as stack:
        for server in stack.servers:
            say(f"{server.name} {server.version}, ready in {server.seconds:.1f} s")
        ours = {
            "JOBLEDGER_CONFIG": str(HERE / "jobledger.yaml"),
            "JOBLEDGER_KAFKA__BOOTSTRAP": stack.kafka,
            "JOBLEDGER_REDIS__URL": stack.redis,
            "JOBLEDGER_DATABASE__URL": stack.database,
        }
        sys.path.insert(0, str(HERE))
        environment = {**os.environ, **ours}
        settings = load_settings(HERE / "jobledger.yaml", environment)
        asyncio.run(story(settings, environment))
    title(f"Done in {time.monotonic() - began:.0f} s; everything has stopped. Next: `.venv/bin/jobledger dev examples/quickstart`")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LedgerError, TimeoutError, AssertionError) as error:
        screen.print(f"[bold]The demo failed:[/bold] {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
