"""Programs of ours that begin by a fork of a process that has imported them: as `python -m` begins them, but without the second or two of
CPU that imports cost each. Environment, folder, streams, pid, signals and exit code are a program's own.

What a start itself is like (imports, closed streams, odd environments) is tested with real ones, in `tests/unit/cli`.
"""

import asyncio
import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple

from ledger.cli.main import ENTRIES

ROOT: Final = Path(__file__).resolve().parents[1]
LARGEST: Final = 1 << 20  # bytes of a request, of which the environment is most
FDS: Final = 4  # of a request: stdin, stdout, stderr, and where its pid and its end are told
KNOWN: Final = ("processors.control.entry", "processors.runner.entry")


class Request(NamedTuple):
    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]


@dataclass(slots=True)
class Forked:
    """One of them, with what is used of `subprocess.Popen`."""

    words: Sequence[str]
    pid: int
    told: socket.socket
    returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        if (code := self._look(timeout)) is None:
            raise subprocess.TimeoutExpired(list(self.words), timeout or 0)
        return code

    async def ended(self, timeout: float) -> int:
        return await asyncio.to_thread(self.wait, timeout)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self.told.settimeout(timeout)
            try:
                told = self.told.recv(64)
            except (TimeoutError, BlockingIOError):
                return None
            self.told.close()
            assert told, "the process that forks is gone"
            self.returncode = int(told)
        return self.returncode


def start(
    module: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> Forked:
    """`python -m module arguments`."""
    return _forks().start(Request(module, list(arguments), str(cwd), dict(env)), stdin, stdout, stderr)


def run(
    module: str, *arguments: str, cwd: Path, env: Mapping[str, str], input: str | None = None, timeout: float
) -> "subprocess.CompletedProcess[str]":
    """The same as `subprocess.run` does it with captured output."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write((input or "").encode())
        stdin.seek(0)
        one = start(module, *arguments, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            code = one.wait(timeout)
        except BaseException:
            one.kill()
            one.wait()
            raise
        said = [_all_of(stream) for stream in (stdout, stderr)]
        return subprocess.CompletedProcess([module, *arguments], code, *said)


def parent() -> int:
    """The pid of the process that they are children of. It ends with the test run."""
    return _forks().process.pid


def _all_of(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


@dataclass(slots=True)
class _Forks:
    """Our end of the process that forks."""

    process: "subprocess.Popen[bytes]"
    requests: socket.socket

    @classmethod
    def begin(cls) -> "_Forks":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        theirs.close()
        return cls(process, ours)

    def end(self) -> None:
        self.requests.close()
        self.process.wait()

    def start(self, request: Request, *streams: int | IO[bytes]) -> Forked:
        told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with telling, Path(os.devnull).open("r+b") as nothing:
            fds = [nothing.fileno() if stream == subprocess.DEVNULL else _number(stream) for stream in streams]
            socket.send_fds(self.requests, [json.dumps(request).encode()], [*fds, telling.fileno()])
        pid = told.recv(64)
        assert pid, "the process that forks is gone"
        return Forked([request.module, *request.arguments], int(pid), told)


def _number(stream: int | IO[bytes]) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


@functools.cache
def _forks() -> _Forks:
    forks = _Forks.begin()
    atexit.register(forks.end)
    return forks


@dataclass(slots=True)
class _Forking:
    """The process that forks. `woken`: what can be read once a child has ended."""

    requests: socket.socket
    woken: socket.socket
    telling: dict[int, socket.socket] = field(default_factory=dict)

    def until_forked(self) -> Request:
        """Returns in each process that was forked, and never in this one."""
        while True:
            ready, _, _ = select.select([self.requests, self.woken], [], [])
            if self.woken in ready:
                self.woken.recv(4096)
                self._tell_ends()
            if self.requests in ready and (request := self._take()) is not None:
                return request

    def _take(self) -> Request | None:
        body, fds, _, _ = socket.recv_fds(self.requests, LARGEST, FDS)
        if not body:  # the test run has ended
            os._exit(0)
        *streams, telling = fds
        if (pid := os.fork()) == 0:
            os.close(telling)
            for ours in (self.requests, self.woken, *self.telling.values()):
                ours.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return Request(*json.loads(body))
        self.telling[pid] = socket.socket(fileno=telling)
        self.telling[pid].send(b"%d" % pid)
        for stream in streams:
            os.close(stream)
        return None

    def _tell_ends(self) -> None:
        while self.telling:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self.telling.pop(pid) as telling, suppress(OSError):  # nobody may want to know any more
                telling.send(b"%d" % os.waitstatus_to_exitcode(status))


def _main(requests: int) -> None:
    for module in (*KNOWN, *(entry.module for entry in ENTRIES)):
        importlib.import_module(module)
    gc.freeze()
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGCHLD)]
    signal.set_wakeup_fd(waking.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the test run ends, and then this process
    request = _Forking(socket.socket(fileno=requests), woken).until_forked()
    signal.set_wakeup_fd(-1)
    waking.close()
    for number, handler in before:
        signal.signal(number, handler)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.path[:1] = [request.folder, *filter(None, request.environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[1:] = request.arguments
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
