"""Where the kernel has no death signal a killed keeper leaves its servers behind: the next start in the folder ends them."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.stack import Running, state, stop
from ledger.stack.failure import FolderBusy
from ledger.stack.folder_lock import KEEPER_MODULE, holder, note_pids, take
from ledger.stack.layout import Layout
from ledger.stack.messages import Ready
from tests.services.stack.processes import until

NOBODY = 999_999_999


@contextmanager
def server(layout: Layout, lock: int, program: str = "java") -> "Iterator[subprocess.Popen[bytes]]":
    """Does nothing, and holds the folder's lock, as every server does."""
    path = layout.directory / program
    shutil.copy("/bin/sleep", path)
    with subprocess.Popen([path, "600"], pass_fds=(lock,)) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def left_behind(layout: Layout, program: str = "java") -> "Iterator[subprocess.Popen[bytes]]":
    """The keeper's number in the lock is nobody's."""
    lock = take(layout)
    with server(layout, lock, program) as left:
        os.pwrite(lock, str(NOBODY).encode(), 0)
        os.close(lock)
        yield left


def test_servers_that_were_left_behind_are_ended(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with left_behind(layout) as left:
        os.close(take(layout, dying=0.1))
        assert left.wait(5) == -9
    assert holder(layout) is None


def test_those_too_that_only_their_noted_number_tells_of(tmp_path: Path) -> None:
    """Who holds a file is not told everywhere: not on macOS, and in a container not of another account."""
    layout = Layout(tmp_path)
    with left_behind(layout, "sleep") as left:
        note_pids(layout, {str(left.pid): "sleep"})
        os.close(take(layout, dying=0.1))
        assert left.wait(5) == -9
    assert not layout.pids.exists()  # the numbers are nobody's of ours any more


def test_a_number_that_went_to_another_program_is_left_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with left_behind(layout, "sleep") as left:
        note_pids(layout, {str(left.pid): "java"})
        with pytest.raises(FolderBusy, match=f"do not end: see {layout.pids} for their pids"):
            take(layout, dying=0.1, ending=0.1)
        assert left.poll() is None


def test_a_stack_whose_keeper_was_killed_is_ending_and_can_be_stopped(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with left_behind(layout) as left:
        layout.write_state(Ready(NOBODY, (), 1.0))
        assert state(tmp_path) == "ending"
        assert Running.find(tmp_path) is None
        assert stop(tmp_path, dying=0.1)
        assert left.wait(5) == -9
    assert state(tmp_path) == "stopped"


@pytest.fixture
def waiting() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, "waiting") as pool:
        yield pool


def waits() -> bool:
    """A start in the other thread has seen what was left, and gives it time to end."""
    frames = sys._current_frames()
    found = [frames[one.ident] for one in threading.enumerate() if one.name.startswith("waiting") and one.ident in frames]
    return any(frame.f_code.co_name == "_within" and frame.f_locals["seconds"] > 0 for frame in found)


def test_who_waits_ends_no_server_that_came_meanwhile(tmp_path: Path, waiting: ThreadPoolExecutor) -> None:
    layout = Layout(tmp_path)
    lock = take(layout)
    late = waiting.submit(take, layout, dying=0.5, ending=0.05)
    until(waits, "the other start waits")
    with server(layout, lock) as new:
        note_pids(layout, {str(new.pid): "java"})
        with pytest.raises(FolderBusy):
            late.result()
        assert new.poll() is None
    os.close(lock)


def test_who_waits_is_told_of_the_keeper_that_came_first(tmp_path: Path, waiting: ThreadPoolExecutor) -> None:
    layout = Layout(tmp_path)
    lock = take(layout)
    late = waiting.submit(take, layout, dying=0.5)
    until(waits, "the other start waits")
    with subprocess.Popen([sys.executable, "-c", "input()", KEEPER_MODULE], stdin=subprocess.PIPE) as keeper:
        os.pwrite(lock, str(keeper.pid).encode().ljust(20), 0)
        with pytest.raises(FolderBusy, match=rf"is running already \(keeper: pid {keeper.pid}\)"):
            late.result()
        keeper.communicate(b"\n")
    os.close(lock)
