"""A whole system for the tests of this folder: topics, tables, one worker and one projection, as users start them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from ledger import Ledger, Settings
from ledger.handlers import load_jobs
from projections import schema
from tests import forked
from tests.services.client.shop import jobs
from tests.services.conftest import Fresh, apply_and_open, run

PROGRAM = (sys.executable, "-c", "from ledger.cli.main import main; main()")
ROOT = Path(__file__).resolve().parents[3]
STARTING = 60.0


@dataclass(frozen=True)
class System:
    """A project folder and its settings. `call` runs the program there as a user does."""

    folder: Path
    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        here = {name: value for name, value in os.environ.items() if not name.startswith("JOBLEDGER_")}
        here["JOBLEDGER_DATABASE__URL"] = self.settings.database.url.get_secret_value()
        return {**here, "PYTHONPATH": str(ROOT)}

    def call(self, *arguments: str, input: str | None = None) -> "subprocess.CompletedProcess[str]":
        return forked.run("ledger.cli", *arguments, cwd=self.folder, env=self.environment, input=input, timeout=90)

    @contextmanager
    def running(self, *arguments: str) -> "Iterator[forked.Forked]":
        """The program in the background, ended by SIGTERM."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = forked.start("ledger.cli", *arguments, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def write_settings(folder: Path, settings: Settings) -> None:
    """As `jobledger.yaml`; the database's password comes from the environment."""
    document = json.loads(settings.model_dump_json(by_alias=True))
    del document["database"]["url"]
    document["redis"] = {"url": settings.redis.url.get_secret_value()}
    (folder / "jobledger.yaml").write_text(yaml.safe_dump(document))


@contextmanager
def system_of(
    folder: Path, settings: Settings, system_jobs: list[dict[str, object]], app: str = "tests.services.client.shop:jobs"
) -> Iterator[System]:
    """Topics and tables are there; nothing runs yet."""
    configured = [{"name": handler.name} for handler in load_jobs(app) if handler.name != "tick"]
    settings = Settings.model_validate({**settings.model_dump(by_alias=True), "app": app, "jobs": configured, "system_jobs": system_jobs})
    run(apply_and_open(settings))
    schema.upgrade(settings)
    write_settings(folder, settings)
    yield System(folder, settings)


@pytest.fixture(scope="module")
def system(fresh: Fresh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """With a worker and a projection, and the configuration applied."""
    with ExitStack() as stack:
        settings = stack.enter_context(fresh(4))
        ticks: list[dict[str, object]] = [{"name": "tick", "every": "1h"}]
        system = stack.enter_context(system_of(tmp_path_factory.mktemp("system"), settings, ticks))
        stack.enter_context(system.running("worker"))
        stack.enter_context(system.running("projections", "run"))
        _await_jobs(system, len(jobs))
        yield system


def _await_jobs(system: System, count: int) -> None:
    """They are registered, so control works, and in the tables."""
    deadline = time.monotonic() + STARTING
    database = system.settings.database
    registered = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(database.table_schema, "job_definitions"))
    with psycopg.connect(database.url.get_secret_value(), autocommit=True) as connection:
        while (found := connection.execute(registered).fetchone()) is None or found[0] < count:
            assert time.monotonic() < deadline, (system.folder / "worker.log").read_text()[-4000:]
            time.sleep(0.05)


@pytest.fixture
async def ledger(system: System) -> AsyncIterator[Ledger]:
    async with Ledger.connect(system.settings, jobs=jobs) as ledger:
        yield ledger


async def until_all_are_over(ledger: Ledger, ids: list[str]) -> None:
    """Every one of these executions is completed."""
    waiting = set(ids)
    async with asyncio.timeout(60):
        while waiting:
            for execution_id in list(waiting):
                row = await ledger.executions.get(execution_id)
                if row is None or row.state != "completed":
                    break
                waiting.discard(execution_id)
            else:
                return
            await asyncio.sleep(0.05)
