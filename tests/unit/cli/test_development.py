"""`jobledger dev` watches what the project is made of, and restarts what uses it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ledger.cli import dev
from ledger.cli.development import Development
from ledger.config import Settings
from ledger.config.settings import Queue
from ledger.core.refusal import Misconfigured
from ledger.handlers import Jobs
from ledger.stack import Running, StackFailed, Up
from ledger.stack.messages import Ready
from processors.supervisor import Part

VALKEY = Up("valkey", "9", 7, "redis://127.0.0.1:9", 0.5)


class Dev(Development):
    """Does without servers: nothing is applied, and its processes wait. `saved`: what its settings file has now."""

    saved: Settings | Misconfigured = Misconfigured("the file does not say")

    async def _apply(self) -> None:
        pass

    async def _taken(self) -> Settings:
        if isinstance(self.saved, Settings):
            return self.saved
        raise self.saved

    def _parts(self) -> list[Part]:
        return [Part(part.name, ("sleep", "60")) for part in super()._parts()]


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Dev]:
    development = Dev(Settings(), directory, lambda: None)
    task = asyncio.create_task(development.run())
    try:
        await until(lambda: set(development._pids) == {"control", "runner-default", "projections"})
        yield development
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await task == 0


@pytest.mark.parametrize("given", [True, False])
def test_what_to_do_next_names_the_stack_where_it_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: bool
) -> None:
    monkeypatch.setenv("JOBLEDGER_CONFIG", str(tmp_path / "jobledger.yaml"))
    dev._greet(Settings(), Jobs(), Running(tmp_path, Ready(1, () if given else (VALKEY,), 0.5)))
    said = capsys.readouterr().err
    assert ("jobledger stack env" in said) is not given
    assert f"in {Path.cwd()}:" in said, "`dev DIR` was typed in another one"


async def test_it_ends_with_its_servers_and_says_why(tmp_path: Path) -> None:
    failures: list[StackFailed] = []
    development = Dev(Settings(), tmp_path, lambda: failures[-1] if failures else None)
    running = asyncio.create_task(development.run())
    await until(lambda: len(development._pids) == 3)
    failures.append(StackFailed("kafka was killed by signal 9."))
    with pytest.raises(StackFailed, match="killed by signal 9"):
        async with asyncio.timeout(10):
            await running
    assert not any(run(pid) for pid in development._pids.values())


def run(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if happens():
                return
            await asyncio.sleep(0.01)


def test_the_project_is_watched_and_nothing_else(tmp_path: Path) -> None:
    for name in ("jobs.py", "jobledger.yaml", "pkg/more.py", "notes.txt", ".venv/x.py", ".jobledger/y.py", "__pycache__/z.py", "venv/v.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    stamps = Development(Settings(), tmp_path, lambda: None)._stamps()
    assert {str(path.relative_to(tmp_path)) for path in stamps} == {"jobs.py", "jobledger.yaml", "pkg/more.py"}


def test_a_fresh_begin_empties_the_folder_behind_a_link(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / ".jobledger"
    (there / "kafka").mkdir(parents=True)
    (there / "kafka" / "record").touch()
    (there / "lock").touch()
    link.symlink_to(there)
    dev._wipe(link)
    assert link.is_symlink()
    assert list(there.iterdir()) == []
    there.rmdir()
    dev._wipe(link)  # nothing is there


async def test_runners_begin_anew_with_a_saved_handler(tmp_path: Path) -> None:
    async with running(tmp_path) as development:
        before = dict(development._pids)
        await development._reload([tmp_path / "jobs.py"])
        await until(lambda: development._pids["runner-default"] != before["runner-default"])
        assert not run(before.pop("runner-default"))
        assert before.items() < development._pids.items()


async def test_saved_settings_begin_everything_anew_with_the_queues_that_there_are_now(tmp_path: Path) -> None:
    async with running(tmp_path) as development:
        before = dict(development._pids)
        development.saved = Settings(queues={"default": Queue(), "mail": Queue()})
        for _ in range(2):  # saved again while those of before are ending
            await development._reload([tmp_path / "jobledger.yaml"])
        await until(lambda: set(development._pids) == {"control", "runner-default", "runner-mail", "projections"})
        assert not any(run(pid) for pid in before.values())


async def test_settings_that_cannot_be_taken_leave_what_runs_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as development:
        before = dict(development._pids)
        await development._reload([tmp_path / "jobledger.yaml"])
        assert development._pids == before
        assert all(run(pid) for pid in before.values())


async def test_who_is_told_to_end_while_everything_begins_anew_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as development:
        development.saved = Settings()
        await development._reload([tmp_path / "jobledger.yaml"])
