"""`jobledger worker`: starts the control and runner processes, restarts what ends, and ends everything within a bounded time. What was
drained is not started again; when all parts were, it ends."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from processors.pulse import EXIT_DRAINED, PULSE_FD, Listener, Pulse
from processors.watchdog import EXIT_STUCK

log = structlog.get_logger(__name__)

FIRST_BACKOFF = 0.2  # seconds before a restart; doubled at each one that follows soon
LONGEST_BACKOFF = 10.0
STEADY = 30.0  # a process that lived this long starts again with the first backoff
SETTLE = 10.0  # for a process beyond the grace of its running jobs, before it is killed
FRESH = 5.0  # a process that says nothing of itself for so long is not known to be ready
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Part:
    """One process: what it is called and how it is started."""

    name: str
    command: tuple[str, ...]


class Hears(Protocol):
    """The ear for one process."""

    def last(self, within: float) -> Pulse | None: ...


@dataclass(slots=True)
class Child:
    """What is known of a part. `since`: the monotonic time of the last start or end."""

    name: str
    pid: int | None = None  # None: it does not run
    since: float = 0.0
    restarts: int = 0
    ended_by_watchdog: int = 0
    last_code: int | None = None  # negative: the signal that ended it
    hears: Hears | None = None

    @property
    def pulse(self) -> Pulse | None:
        """What its watchdog last said; None if that is too long ago, or it runs no more."""
        return None if self.pid is None or self.hears is None else self.hears.last(FRESH)

    @property
    def is_ready(self) -> bool:
        return (pulse := self.pulse) is not None and pulse.ready and not pulse.stopped

    def begun(self, pid: int) -> None:
        self.pid, self.since = pid, time.monotonic()

    def ended(self, code: int | None) -> None:
        """By itself."""
        self.pid, self.since, self.last_code = None, time.monotonic(), code
        self.ended_by_watchdog += code == EXIT_STUCK


def parts(*, queues: list[str], only: str | None, log_level: str = "INFO") -> list[Part]:
    """The processes of a worker: control, and a runner per queue."""
    logs = ("--log-level", log_level)
    control = [Part("control", (sys.executable, "-m", "processors.control", *logs))]
    runners = [Part(f"runner-{queue}", (sys.executable, "-m", "processors.runner", "--queue", queue, *logs)) for queue in queues]
    return (control if only != "runner" else []) + (runners if only != "control" else [])


def environment(config_path: Path | None, app: str | None) -> dict[str, str]:
    """What the processes need to come to the same settings."""
    here = dict(os.environ)
    if config_path is not None:
        here["JOBLEDGER_CONFIG"] = str(config_path.resolve())
    if app is not None:
        here["JOBLEDGER_APP"] = app
    here["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path.cwd()), here.get("PYTHONPATH"))))
    return here


@dataclass(slots=True)
class Supervisor:
    """Restarts what crashes, with backoff. `started` is told of each start (name, pid)."""

    parts: list[Part]
    environment: Mapping[str, str]
    grace: float
    started: Callable[[str, int], None] = field(default=lambda name, pid: None)
    children: dict[str, Child] = field(init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.children = {part.name: Child(part.name) for part in self.parts}

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    async def run(self) -> int:
        ends_by_signals(self._stopping.set)
        codes = await asyncio.gather(*(self._keep(part) for part in self.parts))
        log.info("worker stopped", action="worker.stopped")
        return max(codes, default=0)

    def stop(self) -> None:
        self._stopping.set()

    async def _keep(self, part: Part) -> int:
        backoff = FIRST_BACKOFF
        child = self.children[part.name]
        while not self._stopping.is_set():
            began, failed = time.monotonic(), None
            try:
                if await self._live(part, child):
                    return 0
            except OSError as error:  # of processes, memory or files there are none left for the moment
                failed = error
            lived = time.monotonic() - began
            backoff = FIRST_BACKOFF if lived > STEADY else min(LONGEST_BACKOFF, backoff * 2)
            if failed is None:
                log.warning(
                    "process ended", action="process.ended", part=part.name, code=child.last_code, lived=round(lived, 1), restart_in=backoff
                )
            else:
                log.error("process cannot be started", action="process.not_started", part=part.name, error=repr(failed), restart_in=backoff)
            await self._pause(backoff)
            child.restarts += not self._stopping.is_set()
        return 0

    async def _live(self, part: Part, child: Child) -> bool:
        """Start it and wait for its end. True: it is not to be started again. Raises `OSError` if it cannot be started."""
        listener = Listener()
        child.hears = listener
        try:
            process = await self._start(part, listener)
            child.begun(process.pid)
            if await self._ended(process):
                await self._end(part, process)
                return True
            child.ended(process.returncode)
        finally:
            child.hears, child.pid = None, None
            listener.close()
        if process.returncode == EXIT_DRAINED:
            log.warning("process was drained and is not started again", action="process.drained", part=part.name)
            return True
        return False

    async def _start(self, part: Part, listener: Listener) -> asyncio.subprocess.Process:
        try:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                env={**self.environment, PULSE_FD: str(listener.child_end)},
                stdin=asyncio.subprocess.DEVNULL,
                preexec_fn=_in_its_hands(os.getpid()),
                pass_fds=(listener.child_end,),
            )
        finally:
            listener.started()
        self.started(part.name, process.pid)
        log.info("process started", action="process.started", part=part.name, pid=process.pid)
        return process

    async def _ended(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for the process or for the word to stop; True: stop."""
        ending, stopping = asyncio.create_task(process.wait()), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if ending.done():
            return self._stopping.is_set()
        ending.cancel()
        return True

    async def _end(self, part: Part, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(self.grace):
                await process.wait()
        except TimeoutError:
            log.warning("process did not stop and is killed", action="process.killed", part=part.name, after=self.grace)
            process.kill()
            await process.wait()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def ends_by_signals(end: Callable[[], object], numbers: Sequence[signal.Signals] = ENDS) -> None:
    """These call `end` in the event loop from now on. Under `nohup` the end of the terminal stays ignored."""
    for number in numbers:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, end)


def _in_its_hands(supervisor: int) -> Callable[[], None]:
    """Of the end of their terminal, which is told to all, the supervisor alone hears: it lets its processes finish what they do."""
    die_with = die_with_parent(supervisor)

    def before_exec() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if die_with is not None:
            die_with()

    return before_exec


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """On Linux the kernel kills a child whose supervisor was killed."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        libc.prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
