"""One stack per folder: a lock that the keeper takes and hands down, so that it is free only when the last server is gone."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.stack.failure import FolderBusy, StackFailed
from ledger.stack.layout import Layout

DYING = 15.0  # what the servers of a killed keeper may take to end


@contextmanager
def hold(layout: Layout) -> Iterator[int]:
    """The lock's file descriptor. Waits for the servers of a dead keeper; a living one is named at once."""
    try:
        layout.directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackFailed(
            f"The stack cannot keep its data in {layout.directory}: {error.strerror}. Name another folder with --dir."
        ) from error
    try:
        _take(lock, layout)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _take(lock: int, layout: Layout) -> None:
    limit = time.monotonic() + DYING
    while not _try(lock):
        if (holder := _keeper(lock)) is not None:
            raise FolderBusy(
                f"A stack is already running in {layout.directory}, by process {holder}. "
                "`jobledger stack stop` ends it; or name another folder with --dir."
            )
        if time.monotonic() > limit:
            raise FolderBusy(f"Servers of a former stack still run in {layout.directory}, though their keeper is gone. End them by hand.")
        time.sleep(0.05)


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(layout: Layout) -> int | None:
    """The living keeper of this folder; None when there is none."""
    try:
        lock = os.open(layout.lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _try(lock) else _keeper(lock)
    finally:
        os.close(lock)


def is_free(layout: Layout) -> bool:
    """Whether keeper and servers are all gone."""
    try:
        lock = os.open(layout.lock, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        return _try(lock)
    finally:
        os.close(lock)


def _keeper(lock: int) -> int | None:
    text = os.pread(lock, 20, 0)
    return int(text) if text.isdigit() and _is_keeper(int(text)) else None


def _is_keeper(pid: int) -> bool:
    """Alive, and not another program to which the number went."""
    try:
        return b"ledger.stack.keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self/cmdline").exists():
            return False
    said = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S607
    return b"ledger.stack.keeper" in said.stdout
