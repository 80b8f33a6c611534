"""The keeper's child processes: started so that none outlives the keeper, whatever ends it.

On Linux each child asks the kernel for a signal when its parent dies. That signal follows the *thread* that forked, so
everything here runs in the keeper's main thread. Where the kernel offers no such thing (macOS), only the pipe between
the parent and the keeper protects; what a killed keeper leaves there is ended by the next start (`folder_lock`).
"""

import asyncio
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ledger.stack.failure import StackFailed
from ledger.stack.layout import turn_over

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
ORPHANED, NOT_PERMITTED = 70, 71
LOG_TAIL = 256 * 1024
INHERITED = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True)
class Account:
    """Who a child becomes. Postgres refuses to run as root; `nobody` exists everywhere, so no user has to be made."""

    uid: int
    gid: int

    @staticmethod
    def for_postgres() -> "Account | None":
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam("nobody")
        return Account(entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True)
class Program:
    """A command line with its place. `end_with` asks it to end; the lean environment carries no secrets of ours; `gentle`: others first,
    be it for time or for memory, and the folder's lock is not handed down to it."""

    argv: tuple[str, ...]
    folder: Path
    log: Path
    end_with: signal.Signals = signal.SIGTERM
    account: Account | None = None
    gentle: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: lean_environment(os.environ))


def lean_environment(full: Mapping[str, str]) -> dict[str, str]:
    """UTF-8 file names for Java, English messages for everybody, and no settings or secrets of jobledger."""
    return {name: full[name] for name in INHERITED if name in full} | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


class Child:
    """A process and what it has said since it was started."""

    def __init__(self, name: str, program: Program, process: subprocess.Popen[bytes], log_start: int) -> None:
        self.name = name
        self.program = program
        self.ended = asyncio.Event()
        self._process = process
        self._log_start = log_start

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def said(self) -> list[str]:
        """The last lines of this run in its log."""
        try:
            with self.program.log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - LOG_TAIL))
                return [line for line in log.read(LOG_TAIL).decode("utf-8", "replace").splitlines() if line.strip()]
        except OSError:
            return []


class Offspring:
    """All living children. `reap` has to be called on SIGCHLD."""

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._children: list[Child] = []
        self._tie = _tie_to(os.getpid())

    def spawn(self, name: str, program: Program) -> Child:
        """Starts the program in a process group of its own (Ctrl-C at the terminal is the keeper's affair).

        The folder's lock is handed down: it is free again only when the last child is gone.
        """
        turn_over(program.log)
        with program.log.open("ab") as out:
            start = out.tell()
            try:
                process = subprocess.Popen(
                    program.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=program.folder,
                    env=program.environment,
                    pass_fds=() if program.gentle else (self._lock,),
                    process_group=0,
                    preexec_fn=self._tie(program),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise StackFailed(f"{name} could not be started ({program.argv[0]}): {error}.") from error
        child = Child(name, program, process, start)
        self._children.append(child)
        return child

    async def run(self, name: str, program: Program) -> Child:
        """Starts a program that ends by itself, and waits for it."""
        child = self.spawn(name, program)
        await child.ended.wait()
        return child

    def reap(self) -> None:
        """Notes who has ended. Cheap, and harmless when nobody has."""
        for child in self._children:
            if child.exit_code is not None:
                child.ended.set()
        self._children = [child for child in self._children if not child.ended.is_set()]

    def living(self) -> list[Child]:
        return [child for child in self._children if child.exit_code is None]

    async def stop(self, grace: float = 10.0) -> tuple[dict[str, int], tuple[str, ...]]:
        """Asks all at once, waits, kills the rest: exit codes by name, and who had to be killed."""
        asked = self.living()
        for child in asked:
            child.signal(child.program.end_with)
            child.signal(signal.SIGCONT)  # a stopped process would take the signal only when continued
        late = await _still_running(asked, grace)
        for child in late:
            child.signal(signal.SIGKILL)
        await _still_running(late, grace)
        self.reap()
        return {child.name: child.exit_code or 0 for child in asked}, tuple(child.name for child in late)


async def _still_running(children: list[Child], seconds: float) -> list[Child]:
    limit = time.monotonic() + seconds
    while (running := [c for c in children if c.exit_code is None]) and time.monotonic() < limit:  # noqa: ASYNC110  # SIGCHLD may be lost
        await asyncio.sleep(0.01)
    return running


def _tie_to(keeper: int) -> Callable[[Program], Callable[[], None]]:
    """What a child does between fork and exec: forget the keeper's handlers, become its account, ask for the death signal."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare(program: Program) -> Callable[[], None]:
        def in_child() -> None:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # a signal before exec would else be swallowed
                signal.signal(number, signal.SIG_DFL)
            if program.gentle:
                os.nice(19)
                with suppress(OSError):  # Linux has it
                    Path("/proc/self/oom_score_adj").write_text("1000")
            if program.account is not None and not _become(libc, program.account):
                os._exit(NOT_PERMITTED)
            if sys.platform == "linux":
                libc.prctl(PR_SET_PDEATHSIG, int(program.end_with))  # after the change of uid, which clears it
                if os.getppid() != keeper:
                    os._exit(ORPHANED)

        return in_child

    return prepare


def _become(libc: ctypes.CDLL, account: Account) -> bool:
    """root -> account, keeping CAP_DAC_OVERRIDE: folders of root (0700) above the data then need no chmod."""
    if sys.platform != "linux":
        return False
    libc.prctl(PR_SET_KEEPCAPS, 1)
    try:
        os.setgroups([])
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    except OSError:
        return False
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    return not libc.capset(header, sets) and not libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)
