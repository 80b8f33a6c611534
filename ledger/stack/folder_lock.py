"""One stack a folder. The lock is a `flock` whose file every server holds too: it is free when the last of them is gone."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ledger.stack.failure import FolderBusy, StackFailed
from ledger.stack.layout import Layout, write_private

KEEPER_MODULE = "ledger.stack.keeper"
DYING = 3.0  # seconds that orphaned servers are given to end by their own death signal
ENDING = 15.0
SERVER_PROGRAMS = frozenset({"java", "valkey-server", "postgres"})


def holder(layout: Layout) -> int | None:
    """The pid written by the keeper that holds the folder, None when nobody does (0: somebody who has not written it)."""
    try:
        lock = os.open(layout.lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackFailed(unusable(layout.directory, error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(lock)
    finally:
        os.close(lock)
    return None


def take(layout: Layout, *, dying: float = DYING, ending: float = ENDING) -> int:
    """The lock's file, locked. A living keeper is refused; leftovers of a killed one are waited for, then ended.

    Of several that wait for the same leftovers one wins: the others look again, and end none of its servers.
    """
    try:
        layout.directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackFailed(unusable(layout.directory, error)) from error
    if not _within(layout, lock, 0):
        left = leftovers(layout)
        if not _within(layout, lock, dying):
            _kill(layout, left & leftovers(layout))
            if not _within(layout, lock, ending):
                raise FolderBusy(f"Servers of an earlier stack in {layout.directory} do not end: see {layout.pids} for their pids.")
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    layout.pids.unlink(missing_ok=True)  # none of them runs: their numbers may be others' soon
    return lock


def _refuse_keeper(layout: Layout, lock: int) -> None:
    if is_keeper(pid := _written(lock)):
        raise FolderBusy(
            f"The stack in {layout.directory} is running already (keeper: pid {pid}). "
            f"Use it (`jobledger stack env`), stop it (`jobledger stack stop`), or name another folder; each takes --dir."
        )


def _written(lock: int) -> int:
    return int(os.pread(lock, 20, 0) or b"0")


def unusable(directory: Path, error: OSError) -> str:
    return f"The stack cannot keep its data in {directory}: {error.strerror or error}. Name another folder with --dir."


def note_pids(layout: Layout, programs: dict[str, str]) -> None:
    """pid -> program, for `leftovers` as a later start finds them."""
    write_private(layout.pids, msgspec.json.encode(programs))


def leftovers(layout: Layout) -> frozenset[int]:
    """What a killed keeper left: who holds the lock, as far as that is told, and the servers whose pids are noted."""
    try:
        noted = msgspec.json.decode(layout.pids.read_bytes(), type=dict[int, str])
    except (FileNotFoundError, msgspec.DecodeError):
        noted = {}
    return frozenset(orphans(layout, SERVER_PROGRAMS)) | {pid for pid, program in noted.items() if program in command_of(pid)}


def _kill(layout: Layout, pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise StackFailed(f"Process {pid} of an earlier stack in {layout.directory} belongs to another user: end it.") from error


def end_orphans(layout: Layout, programs: frozenset[str]) -> bool:
    """Kills what still runs one of these programs and holds the lock; True when nothing does any more.

    For after the server itself has ended. A backend of Postgres that computes notices the death of its postmaster only when it
    next waits: until then it would keep the folder's lock and the shared memory, and no Postgres would start.
    """
    found = orphans(layout, programs)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    return not found


def orphans(layout: Layout, programs: frozenset[str]) -> list[int]:
    return [pid for pid in lock_holders(layout) if pid != os.getpid() and program_of(pid) in programs]


def lock_holders(layout: Layout) -> Iterator[int]:
    """The processes that have the lock's file open, as far as /proc tells (Linux)."""
    try:
        lock = layout.lock.stat()
    except FileNotFoundError:
        return
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if any(_is_same(fd, lock) for fd in (entry / "fd").iterdir()):
                yield int(entry.name)
        except OSError:  # gone meanwhile, or another user's
            continue


def _is_same(fd: Path, lock: os.stat_result) -> bool:
    try:
        found = fd.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (lock.st_dev, lock.st_ino)


def program_of(pid: int) -> str:
    """The name of the executable: a process may write what it likes into its command line."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def is_keeper(pid: int) -> bool:
    """The pid may have been given to somebody else since."""
    return KEEPER_MODULE in command_of(pid)


def command_of(pid: int) -> str:
    """The command line of a process, empty when there is none."""
    if pid <= 0:
        return ""
    try:
        if Path("/proc/self").exists():
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        listing = subprocess.run(
            ("/bin/ps", "-ww", "-o", "command=", "-p", str(pid)), capture_output=True, text=True, timeout=5, check=False
        )
        return listing.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _within(layout: Layout, lock: int, seconds: float) -> bool:
    """Whether it could be locked. Raises `FolderBusy` for a keeper that has it, or takes it meanwhile."""
    limit = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _refuse_keeper(layout, lock)
            if time.monotonic() >= limit:
                return False
            time.sleep(0.02)
        else:
            return True
