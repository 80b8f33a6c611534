"""The runner's side of processes for CPU-bound handlers: started when they are needed first, kept warm, and never left behind.

Each has a session of its own, so that what it starts is killed with it. It dies with the runner, however that ends: see `child`.
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from processors.runner.child_wire import EXIT_ORPHANED, HEAD, LARGEST, FromChild, Ready, ToChild, frame, from_child

log = structlog.get_logger(__name__)
LONGEST_START: Final = 60.0  # seconds, for the import of the handlers
LAST_WORDS: Final = 0.5  # seconds for what a process that is gone had sent, and for the end of one that speaks no more
_MEDDLED: Final = "its code closed or wrote to the socket to its worker, a file that it did not open"


class ChildGone(Exception):
    """The process has ended; the message says how, in words for the person who wrote its code."""


@dataclass(frozen=True, slots=True)
class Command:
    """How such a process is started. `memory`: bytes of its address space, 0: unlimited."""

    app: str
    memory: int = 0
    log_format: str = "json"
    log_level: str = "INFO"

    def arguments(self, fd: int) -> Sequence[str]:
        about = ("--app", self.app, "--fd", str(fd), "--runner", str(os.getpid()), "--memory", str(self.memory))
        return (sys.executable, "-m", "processors.runner.child", *about, "--log-format", self.log_format, "--log-level", self.log_level)


class Child:
    """One such process."""

    def __init__(self, process: Process, reader: StreamReader, writer: StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._exited = asyncio.create_task(process.wait())
        self._exited.add_done_callback(lambda _: self._kill_group())
        self.killed = False

    @classmethod
    async def started(cls, command: Command) -> "Child":
        """Raises `ChildGone` if it does not come to life."""
        try:
            child = await cls._forked(command)
        except OSError as error:
            raise ChildGone(f"no process could be started for it: {error}") from error
        try:
            async with asyncio.timeout(LONGEST_START):
                message = await child.receive()
            if not isinstance(message, Ready):
                raise ChildGone(f"a process for handlers began with {type(message).__name__}")
        except TimeoutError:
            await child.end()
            raise ChildGone(f"the process had not loaded {command.app} after {LONGEST_START:g} s") from None
        except BaseException:
            await child.end()
            raise
        return child

    @classmethod
    async def _forked(cls, command: Command) -> "Child":
        """Raises `OSError` if the system has nothing left for it."""
        ours, its = socket.socketpair()
        with its:
            reader, writer = await asyncio.open_connection(sock=ours, limit=LARGEST + HEAD.size)
            try:
                process = await asyncio.create_subprocess_exec(
                    *command.arguments(its.fileno()), stdin=DEVNULL, pass_fds=[its.fileno()], start_new_session=True
                )
            except BaseException:
                writer.close()
                raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return not self.killed and not self._exited.done()

    def send(self, message: ToChild) -> None:
        """One that is gone takes nothing; that is learnt by `receive`."""
        with suppress(OSError, RuntimeError):
            self._writer.write(frame(message))

    async def receive(self) -> FromChild:
        """The next message. Raises `ChildGone` once the process has ended, or was killed because it speaks nonsense or no more."""
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait((reading, self._exited), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():  # one that forked may have left the socket open
                await asyncio.wait((reading,), timeout=LAST_WORDS)
            if reading.done() and (message := reading.result()) is not None:
                return message
        finally:
            reading.cancel()
        ended, _ = await asyncio.wait((self._exited,), timeout=LAST_WORDS)
        lives_on = not (ended or self.killed)
        self.kill()
        code = await self._exited
        raise ChildGone(f"its process was ended: {_MEDDLED}" if lives_on else _how(code))

    async def _read(self) -> FromChild | None:
        try:
            (size,) = HEAD.unpack(await self._reader.readexactly(HEAD.size))
            if size <= LARGEST:
                message: FromChild = from_child.decode(await self._reader.readexactly(size))
                return message
            log.error("a process for handlers speaks nonsense", action="child.nonsense", pid=self.pid, size=size)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except msgspec.MsgspecError as error:
            log.error("a process for handlers speaks nonsense", action="child.nonsense", pid=self.pid, error=str(error))
        return None

    def kill(self) -> None:
        """It, and what it started."""
        self.killed = True
        if not self._exited.done():
            self._kill_group()

    def _kill_group(self) -> None:
        """Only while it runs, or just when it ended: later its number may be another's."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Returns when it is gone."""
        self.kill()
        self._writer.close()
        await self._exited


class Children:
    """At most as many as are asked for at the same time, which the gate bounds."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._unclaimed: list[asyncio.Task[Child]] = []  # starts that nobody waits for

    async def take(self) -> Child:
        """One that has nothing to do, from now on the caller's. Raises `ChildGone`."""
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            await self.discard(child)
        starting = self._unclaimed.pop() if self._unclaimed else asyncio.create_task(self._start(), context=Context())
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:  # whoever wanted it has no time left: the next one will have it
            self._unclaimed.append(starting)
            starting.add_done_callback(self._keep)
            raise

    async def _start(self) -> Child:
        child = await Child.started(self._command)
        self._all.add(child)
        return child

    def _keep(self, started: asyncio.Task[Child]) -> None:
        if started not in self._unclaimed:
            return  # claimed meanwhile
        self._unclaimed.remove(started)
        if not started.cancelled() and started.exception() is None:
            self.give_back(started.result())

    def give_back(self, child: Child) -> None:
        self._idle.append(child)

    async def discard(self, child: Child) -> None:
        """Returns when it is gone."""
        await child.end()
        self._all.discard(child)

    async def warm(self) -> None:
        """Have one ready before it is needed; its trouble is told when it is."""
        try:
            self.give_back(await self.take())
        except ChildGone as error:
            log.error("a process for handlers does not begin", action="child.not_begun", error=str(error))

    async def end(self) -> None:
        """Returns when all are gone."""
        for starting in self._unclaimed:
            starting.cancel()
        await asyncio.gather(*self._unclaimed, return_exceptions=True)
        await asyncio.gather(*(child.end() for child in self._all))
        self._all.clear()
        self._idle.clear()


def _how(code: int) -> str:
    if code == EXIT_ORPHANED:
        return f"its process ended with exit code {code}: {_MEDDLED}"
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "signal"
    hint = "; the system may have been short of memory" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name} ({-code}){hint}"
