"""Processes as the tests see them: a parent of a stack, and whether anything is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ledger.stack.folder_lock import holder
from ledger.stack.layout import Layout

ROOT = Path(__file__).parents[3]


def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """A zombie is gone: whoever adopted it has only not looked yet."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return not state or state.startswith("Z")


def nothing_left(directory: Path, pids: Mapping[str, int], seconds: float = 10.0) -> None:
    """Every process that was started holds the folder's lock, those that servers start themselves too."""
    until(lambda: holder(Layout(directory)) is None, f"the lock of {directory} is free", seconds)
    assert [name for name, pid in pids.items() if not is_gone(pid)] == []


@contextmanager
def parent(directory: Path, kafka: str | None = None, environment: Mapping[str, str] | None = None) -> "Iterator[subprocess.Popen[str]]":
    """In a session of its own, as at a terminal of its own."""
    argv = [sys.executable, "-m", "tests.services.stack.parent", str(directory), *([kafka] if kafka else [])]
    process = subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def pids_of(process: "subprocess.Popen[str]") -> dict[str, int]:
    """Blocks until its stack is up."""
    assert process.stdout
    pids: dict[str, int] = json.loads(process.stdout.readline())
    return pids


def end(process: "subprocess.Popen[str]", how: signal.Signals) -> None:
    """Ctrl-C at a terminal goes to the whole group."""
    os.killpg(process.pid, how) if how is signal.SIGINT else process.send_signal(how)
    process.wait(20)
