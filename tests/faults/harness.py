"""A cluster on the real servers: a prefix and a schema of its own, processes that the test kills, a load, and an audit of everything."""

import asyncio
import contextlib
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from ledger.client.applying import apply_configuration
from ledger.client.ledger import Ledger
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core.refusal import LedgerError
from ledger.kafka import topics
from ledger.kafka.connect import admin_client
from ledger.kafka.opening import open_log
from ledger.stack import Stack
from projections import schema
from projections.connecting import url_of
from tests.faults.probe import EXCLUSIVE, JOURNAL, Line, jobs, read_journal
from tests.faults.processes import Ended, Processes

PATIENCE: Final = 90.0  # seconds for things that take some on a busy machine
CONTROL: Final = ("processors.control",)
RUNNER: Final = ("processors.runner", "--queue", "default")
PROJECTION: Final = ("jobledger", "projections", "run")


@dataclass(slots=True)
class Cluster:
    """`tolerates`: an end that nobody asked for and that this test expects; any other fails it."""

    stack: Stack
    settings: Settings
    folder: Path
    processes: Processes
    random: random.Random
    tolerates: Callable[[Ended], bool] = lambda _: False
    emptied: list[float] = field(default_factory=list)  # when Redis was

    async def begin(
        self, *, controls: int = 1, runners: int = 1, projections: int = 1, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """Topics, tables and processes; returns when the handlers' jobs are registered, so control works. `meanwhile` starts others."""
        await topics.apply(self.settings)
        await open_log(self.settings)
        await asyncio.to_thread(schema.upgrade, self.settings)
        for number in range(controls):
            self.processes.start(f"control-{number}", *CONTROL)
        for number in range(runners):
            self.processes.start(f"runner-{number}", *RUNNER)
        for number in range(projections):
            self.processes.start(f"projection-{number}", *PROJECTION)
        meanwhile()
        await apply_configuration(self.settings, jobs, timeout=PATIENCE)

    def ledger(self) -> contextlib.AbstractAsyncContextManager[Ledger]:
        """A client that waits out every server: what it raises is a fault."""
        return Ledger.connect(self.settings, jobs=jobs, patience=PATIENCE)

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Polls; the processes are looked after meanwhile, as a supervisor would."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.look()
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s: {what}")
            await asyncio.sleep(0.05)

    def look(self) -> None:
        for one in self.processes.look():
            if not self.tolerates(one):
                raise AssertionError(f"{one.name} (pid {one.pid}) ended by itself with {one.code}")

    async def moment(self, least: float, most: float) -> None:
        """A random moment later: the only waiting for time itself that there is here."""
        deadline = time.monotonic() + self.random.uniform(least, most)
        await self.until(lambda: time.monotonic() >= deadline, "time passes", most + 5)

    def finished(self) -> int:
        """Executions that are terminal in the tables; -1 while Postgres is away."""
        query = SQL("SELECT count(*) FROM {} WHERE finished_at IS NOT NULL").format(
            Identifier(self.settings.database.table_schema, "job_executions")
        )
        try:
            with psycopg.connect(url_of(self.settings), connect_timeout=2) as connection:
                row = connection.execute(query).fetchone()
                return int(row[0]) if row else -1
        except psycopg.OperationalError:
            return -1

    async def all_finished(self, count: int, seconds: float = PATIENCE) -> None:
        """So many executions are terminal in the tables."""
        last = -1
        deadline = time.monotonic() + seconds
        while (last := await asyncio.to_thread(self.finished)) < count:
            self.look()
            if time.monotonic() > deadline:
                raise AssertionError(f"{last} of {count} executions are terminal after {seconds:g} s")
            await asyncio.sleep(0.1)

    def positions(self) -> dict[tuple[str, int], int]:
        """(log, partition) -> the seq up to which the tables hold it."""
        query = SQL("SELECT log, log_partition, log_seq FROM {} WHERE projection = 'tables'").format(
            Identifier(self.settings.database.table_schema, "projection_positions")
        )
        with psycopg.connect(url_of(self.settings), connect_timeout=5) as connection:
            return {(log, partition): seq for log, partition, seq in connection.execute(query)}

    def journal(self) -> list[Line]:
        return read_journal(self.folder / "journal")

    async def kill_server(self, name: str, *, empty: bool = False, down: float = 0.3) -> None:
        """kill -9 of a server, and its restart after a while."""
        server = {"kafka": "kafka", "valkey": "valkey", "postgres": "postgres"}[name]
        await asyncio.to_thread(self.stack.kill, server)  # type: ignore[arg-type]  # the names above
        await self.moment(0.0, down)
        await asyncio.to_thread(self.stack.restart, server, empty=empty)  # type: ignore[arg-type]
        if empty:
            self.emptied.append(time.monotonic())


@contextlib.asynccontextmanager
async def cluster_on(stack: Stack, folder: Path, seed: int, **changes: object) -> AsyncIterator[Cluster]:
    """A cluster that is not begun yet; nothing of it is left afterwards. `changes` go over the top level of the settings."""
    name = f"f{secrets.token_hex(4)}"
    document = {
        "prefix": name,
        "partitions": 4,
        "kafka": {"bootstrap": stack.kafka, "session_timeout": 3.0},
        "redis": {"url": stack.redis},
        "database": {"url": stack.database, "schema": name},
        "queues": {"default": {"partitions": 2}},
        "limits": {"lease": 2.0, "slots": 50, "offer_window": 100, "shutdown_grace": 2.0, "snapshot_events": 2000},
        "app": "tests.faults.probe:jobs",
        **changes,
    }
    config = folder / "jobledger.yaml"
    config.write_text(json.dumps(document))
    settings = load_settings(config, {})
    (folder / EXCLUSIVE).mkdir()
    processes = Processes(folder, {"JOBLEDGER_CONFIG": str(config), JOURNAL: str(folder / "journal")})
    try:
        yield Cluster(stack, settings, folder, processes, random.Random(seed))
    finally:
        processes.end_all()
        with contextlib.suppress(LedgerError, psycopg.Error):
            await _remove(settings)


async def _remove(settings: Settings) -> None:
    """A broker that keeps the topics of every test becomes slow."""
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(f"{settings.prefix}.")])
    with psycopg.connect(url_of(settings), connect_timeout=5) as connection:
        connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(settings.database.table_schema)))
