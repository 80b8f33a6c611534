"""A bed to measure on: a prefix and a schema of its own on the servers of the settings, its topics, and the processes that work on them."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
import yaml
from psycopg.rows import scalar_row
from psycopg.sql import SQL, Identifier

from ledger.cli.measuring.jobs import jobs
from ledger.client.applying import apply_configuration
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.config.overlay import CONFIG, PREFIX
from ledger.core.refusal import Misconfigured, Unavailable
from ledger.kafka import opening, topics
from ledger.kafka.connect import admin_client
from processors.supervisor import die_with_parent
from projections import schema
from projections.connecting import connected, conninfo_of

APP: Final = "ledger.cli.measuring.jobs:jobs"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]", "::1")
PATIENCE: Final = 120.0
LOOK: Final = 0.02  # seconds between two looks at the tables

Say = Callable[[str], None]


def refuse_remote(settings: Settings) -> None:
    """A benchmark fills the servers it runs on. Raises `Misconfigured` for a broker on another machine."""
    hosts = [address.rsplit(":", 1)[0] for address in settings.kafka.bootstrap.split(",")]
    if any(host not in LOOPBACK for host in hosts):
        raise Misconfigured(f"{settings.kafka.bootstrap} is not on this machine: --yes measures there all the same")


@dataclass(slots=True)
class Bed:
    settings: Settings
    folder: Path
    say: Say
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start one of our processes, which ends with this one however that ends; its words go to a file in the bed's folder, and what it
        leaves in one for the time being too."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}  # they would change the bed's settings
        environment = {**others, CONFIG: str(self.folder / "jobledger.yaml"), "JOBLEDGER_APP": APP, "TMPDIR": str(self.folder)}
        with (self.folder / f"{len(self.processes)}.log").open("wb") as words:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", *command],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    preexec_fn=die_with_parent(os.getpid()),
                )
            )
        return self.processes[-1]

    def words(self, process: subprocess.Popen[bytes]) -> str:
        """What this process has said so far."""
        return (self.folder / f"{self.processes.index(process)}.log").read_text(errors="replace")

    def spawn_control(self) -> subprocess.Popen[bytes]:
        return self.spawn("processors.control")

    def spawn_all(self) -> None:
        """A worker (control and one runner) and a projection. Control is the first of the processes."""
        self.spawn_control()
        self.spawn("processors.runner", "--queue", "default")
        self.spawn("ledger.cli", "projections", "run")

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def complain(self) -> str:
        """The last words of the processes, for an error."""
        return "\n".join(line for path in sorted(self.folder.glob("*.log")) for line in path.read_text(errors="replace").splitlines()[-3:])

    async def until_terminal(self, count: int) -> float:
        """Wait until so many rows of `job_executions` are terminal. Returns when that was seen, by `time.perf_counter`.

        Looks that read the whole table were a twentieth of what they measured: it is read only where the tables have moved, and an index
        tells that no row is unfinished."""
        rows = Identifier(self.settings.database.table_schema, "job_executions")
        positions = Identifier(self.settings.database.table_schema, "projection_positions")
        reached = SQL("select sum(log_seq) from {}").format(positions)
        is_unfinished = SQL("select exists(select from {} where finished_at is null)").format(rows)
        counted = SQL("select count(*) from {} where finished_at is not null").format(rows)
        deadline = time.perf_counter() + PATIENCE
        done, before = 0, None
        async with await psycopg.AsyncConnection.connect(conninfo_of(self.settings), autocommit=True, row_factory=scalar_row) as connection:
            await connection.execute("set enable_seqscan = off")  # one unfinished row seems near to the planner, and is not
            while (now := time.perf_counter()) < deadline:
                if (place := await (await connection.execute(reached)).fetchone()) != before:
                    before = place
                    if not await (await connection.execute(is_unfinished)).fetchone():
                        done = await (await connection.execute(counted)).fetchone() or 0
                        if done >= count:
                            return now
                await asyncio.sleep(LOOK)
        raise Unavailable(f"{done} of {count} executions ended within {PATIENCE:g} s; the processes said:\n{self.complain()}")


@asynccontextmanager
async def bed(settings: Settings, say: Say, *, work: bool = True, limits: Mapping[str, float] | None = None) -> AsyncIterator[Bed]:
    """Made ready, with the processes running if `work`; everything is removed at the end. `limits`: those that are not the default."""
    name = f"bench{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="jobledger-bench-") as folder:
        ours = bed_settings(settings, name, Path(folder), limits or {})
        made = Bed(ours, Path(folder), say)
        await topics.plan(ours)  # a broker that is away is told before anything is made, and has to be removed
        try:
            await topics.apply(ours)
            await opening.open_log(ours)
            await _whole(asyncio.to_thread(schema.upgrade, ours))  # its thread would make what is removed meanwhile
            if work:
                made.spawn_all()
                await apply_configuration(ours, jobs, timeout=PATIENCE)
            yield made
        finally:
            made.stop()
            await _whole(_remove(ours))


def bed_settings(settings: Settings, name: str, folder: Path, limits: Mapping[str, float]) -> Settings:
    document = {
        "prefix": name,
        "partitions": 4,
        "kafka": {"bootstrap": _plain(settings.kafka.bootstrap)},
        "redis": {"url": _plain(settings.redis.url.get_secret_value())},
        "database": {"url": _plain(settings.database.url.get_secret_value()), "schema": name},
        "limits": dict(limits),
        "jobs": [{"name": handler.name} for handler in jobs],
    }
    path = folder / "jobledger.yaml"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(document))
    return load_settings(path, {})


def _plain(text: str) -> str:
    """As it is written in a file of settings, where `${` would be a reference."""
    return text.replace("${", "$${")


async def _whole(work: Coroutine[object, object, object]) -> None:
    """To its end, also where we are told to end meanwhile: that comes behind it."""
    doing, told = asyncio.ensure_future(work), None
    while not doing.done():
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError as error:
            told = error
    doing.result()
    if told is not None:
        raise told


async def _remove(settings: Settings) -> None:
    try:
        async with admin_client(settings.kafka.bootstrap) as admin:
            await admin.delete_topics([spec.name for spec in topics.specs(settings)])
    finally:
        with connected(settings) as connection:
            connection.execute(SQL("drop schema if exists {} cascade").format(Identifier(settings.database.table_schema)))
