"""A process for CPU-bound handlers: `python -m processors.runner.child`, started and fed by its runner, one attempt at a time.

The handler has the main thread. A second thread listens, so that the code hears of its end; it ends the process when the runner is gone,
and where the kernel offers it (Linux) the kernel does so at once, whatever the code is at. What handlers start goes with it.
"""

import argparse
import asyncio
import ctypes
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn, cast

from ledger.context import Context
from ledger.handlers import Handler, Jobs, load_jobs
from processors import forks, logs, prints
from processors.runner import perform, settle
from processors.runner.attempt import Attempt
from processors.runner.child_submits import Submitting
from processors.runner.child_wire import EXIT_ORPHANED, HEAD, LARGEST, Answered, End, FromChild, Ready, Run, Spent, Told, frame, to_child

PROGRESS_APART: Final = 0.1  # seconds; the runner tells it on more rarely still
SERVES: Final = 1000  # attempts, then a new process takes its place: what leaks is bounded
PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m processors.runner.child")
    parser.add_argument("--app", required=True)
    parser.add_argument("--fd", type=int, required=True, help="the socket to its runner")
    parser.add_argument("--runner", type=int, required=True, help="the pid of its runner")
    parser.add_argument("--memory", type=int, default=0, help="bytes of address space; 0: unlimited")
    parser.add_argument("--log-format", choices=("json", "console"), default="json")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    die_with(options.runner)
    leave_nothing(options.fd)
    forks.set_free()
    limit_memory(options.memory)
    prints.let_go()
    logs.configure(cast(logs.Format, options.log_format), options.log_level)  # argparse checked the choice
    sys.path.insert(0, str(Path.cwd()))
    Child(socket.socket(fileno=options.fd), load_jobs(options.app)).serve()


def die_with(runner: int) -> None:
    """Have the kernel kill this process when the runner's is gone, and rather than the runner's when memory is short."""
    for word in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # of a terminal, or to a whole service: the runner decides what ends
        signal.signal(word, _pass)  # no SIG_IGN, which what handlers start would inherit
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("800")
    if os.getppid() != runner:  # it went before the kernel knew
        os._exit(EXIT_ORPHANED)


def _pass(number: int, frame: object) -> None:
    pass


def leave_nothing(*fds: int) -> None:
    """Have what the handlers start killed when this process is gone: by a process that only waits for that. It is forked while there are
    neither threads nor handlers here, and holds nothing of what it inherits."""
    if sys.platform != "linux":
        return
    group, gone = os.getpgid(0), os.pidfd_open(os.getpid())
    if os.fork():
        os.close(gone)
        return
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
        for fd in (0, 1, 2, *fds):
            os.close(fd)
        poll = select.poll()
        poll.register(gone, select.POLLIN)
        poll.poll()
        os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)


def limit_memory(most: int) -> None:
    if most:
        import resource  # not on every system

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


class Child:
    def __init__(self, runner: socket.socket, jobs: Jobs) -> None:
        runner.set_inheritable(False)
        self._socket = runner
        self._jobs = jobs
        self._sending = threading.Lock()
        self._arrived: SimpleQueue[tuple[Attempt, Progress, Submitting]] = SimpleQueue()
        self._numbers = count()  # of submits
        self._submitting = Submitting(self._send, self._numbers)
        self._attempt: Attempt | None = None  # one at a time; set by the listening thread
        self._served = 0

    def serve(self) -> NoReturn:
        threading.Thread(target=self._listen, name="runner", daemon=True).start()
        self._send(Ready())
        while True:
            self._send(self._perform(*self._arrived.get()))

    def _take(self, run: Run) -> None:
        attempt = Attempt(run.offer, 0, "", 0, 0.0)
        attempt.timeout_ms = run.timeout_ms
        progress, submitting = Progress(self._send), Submitting(self._send, self._numbers)
        attempt.context = Context(run.offer, time.monotonic() + run.seconds, progress.told, submitting)
        self._attempt, self._submitting = attempt, submitting
        self._arrived.put((attempt, progress, submitting))

    def _perform(self, attempt: Attempt, progress: "Progress", submitting: Submitting) -> End:
        attempt.handler = handler = self._jobs.get(attempt.offer.job_name)
        assert handler is not None, "the runner has the same handlers"
        before = set(threading.enumerate())
        self._run(attempt, handler)
        progress.flush(over=True)
        submitting.end()
        assert attempt.outcome is not None
        self._served += 1
        return End(
            attempt.outcome,
            attempt.result,
            attempt.error_type,
            attempt.error_message,
            attempt.retry_after_ms,
            self._spent(attempt, handler, before),
        )

    @staticmethod
    def _run(attempt: Attempt, handler: Handler) -> None:
        if handler.middleware:
            asyncio.run(perform.in_middleware(attempt, handler, perform.directly))
        else:
            perform.run_plain(attempt)

    def _spent(self, attempt: Attempt, handler: Handler, before: set[threading.Thread]) -> Spent | None:
        if attempt.error_type == "MemoryError":
            return "out_of_memory"
        if handler.exclusive is not None and any(one not in before and one.name != Progress.TIMER for one in threading.enumerate()):
            return "threads_left"  # its code has not ended as long as they run
        return "served_enough" if self._served >= SERVES else None

    def _send(self, message: FromChild) -> None:
        data = frame(message)
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError:
            os._exit(EXIT_ORPHANED)

    def _listen(self) -> None:
        try:
            while True:
                (size,) = HEAD.unpack(self._exactly(HEAD.size))
                if size > LARGEST:
                    break
                message = to_child.decode(self._exactly(size))
                if isinstance(message, Run):
                    self._take(message)
                elif isinstance(message, Answered):
                    self._submitting.answered(message)
                elif (attempt := self._attempt) is not None and attempt.context is not None and attempt.offer.token == message.token:
                    attempt.stopping = message.why
                    attempt.context.cancelled = True
        finally:
            os._exit(EXIT_ORPHANED)  # no runner, nobody to work for

    def _exactly(self, size: int) -> bytes:
        data = self._socket.recv(size, socket.MSG_WAITALL)
        if len(data) < size:
            raise EOFError
        return data


class Progress:
    """Passes progress on, the last of it always, at most ten times a second. Safe from any thread."""

    TIMER: Final = "progress"

    def __init__(self, send: Callable[[FromChild], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._last: Told | None = None
        self._sent_at = 0.0
        self._timer: threading.Timer | None = None
        self._over = False

    def told(self, percent: int, note: str | None) -> None:
        with self._lock:
            if self._over:
                return
            self._last = Told(min(100, max(0, int(percent))), settle.clean_note(note))
            if self._timer is not None:
                return
            if time.monotonic() - self._sent_at < PROGRESS_APART:
                self._timer = threading.Timer(PROGRESS_APART, self.flush)
                self._timer.daemon, self._timer.name = True, self.TIMER
                self._timer.start()
                return
        self.flush()

    def flush(self, *, over: bool = False) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            last, self._last, self._over = self._last, None, over or self._over
            if last is not None:
                self._sent_at = time.monotonic()
                self._send(last)


if __name__ == "__main__":
    main(sys.argv[1:])
