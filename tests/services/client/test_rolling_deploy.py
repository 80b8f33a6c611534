"""A rolling deploy: what is too new for a worker waits for one that has the code, and nothing fails for a version."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import ExecutionSkipped, Jobs, Ledger, Settings
from ledger.client.applying import apply_configuration
from tests.services.client.conftest import System, system_of, write_settings
from tests.services.client.rolling import after, before, new

CONTROL = ("worker", "--only", "control", "--no-apply")
RUNNER = ("worker", "--only", "runner", "--no-apply", "--app")


@pytest.fixture
def system(tmp_path: Path, settings: Settings) -> Iterator[System]:
    """Nothing runs yet but the tables' projection."""
    with system_of(tmp_path, settings, [], "tests.services.client.rolling:before") as system, system.running("projections", "run"):
        yield system


async def until_said(system: System, word: str) -> None:
    async with asyncio.timeout(60):
        while word not in (system.folder / "worker.log").read_text():  # noqa: ASYNC110  # written by another process
            await asyncio.sleep(0.05)


async def declare(system: System, jobs: Jobs) -> None:
    await apply_configuration(system.settings, jobs, timeout=60)


def deploy(system: System, app: str, *jobs: str) -> System:
    """A worker's own folder, with the configuration of its deploy: its handlers are checked against it."""
    folder = system.folder / app
    folder.mkdir()
    configured = [{"name": name} for name in jobs]
    write_settings(folder, Settings.model_validate({**system.settings.model_dump(by_alias=True), "jobs": configured}))
    return System(folder, system.settings)


async def test_an_old_worker_hands_back_what_a_new_one_takes(system: System) -> None:
    older, newest = deploy(system, "old", "bill"), deploy(system, "new", "bill", "pack")
    async with Ledger.connect(system.settings) as ledger:
        with older.running(*RUNNER, "tests.services.client.rolling:old"):
            with system.running(*CONTROL):
                await declare(system, before)
                assert await (await ledger.submit("bill")).result(60) == "old"
                too_old = await ledger.submit("pack")
                await until_said(older, "no_handler")
                await declare(system, new)
                newer = await ledger.submit("bill")
                await until_said(older, "newer_version")
                with newest.running(*RUNNER, "tests.services.client.rolling:new"):
                    assert await newer.result(60) == "new"
                    with pytest.raises(ExecutionSkipped, match="version_too_old"):
                        await too_old.result(60)
                row = await newer.row()
                assert row is not None and row.attempt == 1
            await nobody_comes(system, ledger)


async def nobody_comes(system: System, ledger: Ledger) -> None:
    limits = system.settings.limits.model_copy(update={"version_grace": 0.0})
    write_settings(system.folder, system.settings.model_copy(update={"limits": limits}))
    with system.running(*CONTROL):
        await declare(system, after)
        with pytest.raises(ExecutionSkipped, match="no_worker_for_version"):
            await (await ledger.submit("bill", follow=True)).result(60)
