"""`jobledger dev` watches what the project is made of, and restarts what uses it."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.cli.dev import _wipe
from ledger.cli.development import Development
from ledger.config import Settings
from ledger.stack import StackFailed
from processors.supervisor import Part


class Dev(Development):
    """Does without servers: nothing is applied, and its processes wait."""

    async def _apply(self) -> None:
        pass

    def _parts(self) -> list[Part]:
        return [Part(name, ("sleep", "60")) for name in ("control", "runner-default", "projections")]


def they_run() -> None:
    return None


async def test_it_ends_with_its_servers_and_says_why(tmp_path: Path) -> None:
    failures: list[StackFailed] = []
    development = Dev(Settings(), tmp_path, lambda: failures[-1] if failures else None)
    running = asyncio.create_task(development.run())
    await until(lambda: len(development._pids) == 3)
    failures.append(StackFailed("kafka was killed by signal 9."))
    with pytest.raises(StackFailed, match="killed by signal 9"):
        async with asyncio.timeout(10):
            await running
    assert not any(Path(f"/proc/{pid}").exists() for pid in development._pids.values())


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
    stamps = Development(Settings(), tmp_path, they_run)._stamps()
    assert {str(path.relative_to(tmp_path)) for path in stamps} == {"jobs.py", "jobledger.yaml", "pkg/more.py"}


def test_a_fresh_begin_empties_the_folder_behind_a_link(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / ".jobledger"
    (there / "kafka").mkdir(parents=True)
    (there / "kafka" / "record").touch()
    (there / "lock").touch()
    link.symlink_to(there)
    _wipe(link)
    assert link.is_symlink()
    assert list(there.iterdir()) == []
    there.rmdir()
    _wipe(link)  # nothing is there


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "60"])


@pytest.mark.parametrize(("saved", "ends"), [("jobs.py", {"runner-default"}), ("jobledger.yaml", {"runner-default", "control"})])
async def test_what_uses_a_saved_file_is_restarted(tmp_path: Path, saved: str, ends: set[str]) -> None:
    processes = {name: sleeper() for name in ("control", "runner-default", "projections")}
    try:
        development = Dev(Settings(), tmp_path, they_run, {name: process.pid for name, process in processes.items()})
        await development._reload([tmp_path / saved])
        for name in ends:
            processes[name].wait(10)
        assert {name for name, process in processes.items() if process.poll() is not None} == ends
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
