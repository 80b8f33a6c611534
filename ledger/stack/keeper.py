"""The keeper: the process whose direct children the servers are. They end when it ends, whatever ends it.

`python -m ledger.stack.keeper REQUEST` prints one JSON object a line (`ledger.stack.messages`). Attached, it takes acts as
JSON lines on stdin and stops at its end, that is when its parent is gone; detached, it stops at SIGTERM.
"""

import asyncio
import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ledger.stack.failure import StackFailed
from ledger.stack.folder_lock import SERVER_PROGRAMS, end_orphans, note_pids, take
from ledger.stack.jars import Jars
from ledger.stack.kafka import Kafka
from ledger.stack.layout import Layout, check_space
from ledger.stack.messages import Act, Dead, Failed, Kill, Message, Note, Ready, Refusal, Request, Restart, ServerName, Stopped, Up
from ledger.stack.offspring import Child, Offspring
from ledger.stack.ports import Ports
from ledger.stack.postgres import Postgres
from ledger.stack.server import Server, explain_end, port_was_busy, until_answer
from ledger.stack.valkey import Valkey

TELL_EVERY = 4.0
AGAIN_AFTER = 0.5
DISK_LOW = 32 * 2**20
DISK_EVERY = 2.0
ORPHANS_END = 5.0


def say(message: Message) -> None:
    put(1, msgspec.json.encode(message))


def put(file: int, line: bytes) -> None:
    """A parent that is gone reads nothing (stdin tells of that), a full disk takes nothing: the servers are ended in order all the same."""
    try:
        os.write(file, line + b"\n")
    except OSError:
        pass


class Keeper:
    def __init__(self, request: Request, layout: Layout, lock: int) -> None:
        self._request = request
        self._layout = layout
        self._offspring = Offspring(lock)
        self._children: dict[ServerName, Child] = {}
        self._left_dead: set[Child] = set()
        self._up: dict[ServerName, Up] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._end: asyncio.Future[Failed | None] = asyncio.get_running_loop().create_future()
        self._said_at = time.monotonic()
        ports = Ports(layout.ports, self._note)
        known: tuple[Server, ...] = (
            Kafka(layout, ports, Jars(Path(request.cache), self._note), fast=request.fast),
            Valkey(layout, ports),
            Postgres(layout, ports),
        )
        self._servers = {server.name: server for server in known if server.name in request.servers}

    async def keep(self) -> int:
        """Runs until told to end; the exit code."""
        self._hear_signals()
        self._run(self._start())
        self._run(self._watch_disk())
        if self._request.attached:
            self._run(self._listen())
        failed = await self._end
        if failed:
            self._say(failed)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        began = time.monotonic()
        codes, killed = await self._offspring.stop()
        await self._end_orphans(SERVER_PROGRAMS)
        self._layout.state.unlink(missing_ok=True)
        say(Stopped(codes, killed, round(time.monotonic() - began, 2)))
        return failed.exit_code if failed else 0

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._finish, None)
        loop.add_signal_handler(signal.SIGCHLD, self._offspring.reap)

    def _note(self, text: str) -> None:
        self._said_at = time.monotonic()
        self._say(Note(text))

    def _say(self, message: Note | Failed) -> None:
        """Detached, also to the log: there the parent is gone by then."""
        say(message)
        if not self._request.attached:
            text = message.text if isinstance(message, Note) else message.message
            put(2, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}".encode())

    def _finish(self, failed: Failed | None) -> None:
        if not self._end.done():
            self._end.set_result(failed)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # nobody else would hear of it, and the servers would run on unwatched
                self._finish(failed_by(error, self._layout.directory))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        began = time.monotonic()
        progress = asyncio.create_task(self._tell(began))
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._servers.values():
                    group.create_task(self._bring_up(server))
        finally:
            progress.cancel()
        ready = Ready(os.getpid(), tuple(self._up[name] for name in self._servers), round(time.monotonic() - began, 2))
        self._layout.write_state(ready)
        say(ready)
        for server in self._servers.values():
            await server.when_all_are_up(self._offspring)

    async def _tell(self, began: float) -> None:
        while True:
            await asyncio.sleep(max(0.1, self._said_at + TELL_EVERY - time.monotonic()))
            if time.monotonic() - self._said_at < TELL_EVERY:
                continue
            waiting = ", ".join(name for name in self._servers if name not in self._up)
            self._note(f"still waiting for {waiting} ({time.monotonic() - began:.0f} s)")

    async def _bring_up(self, server: Server, *, same_port: bool = False) -> None:
        began = time.monotonic()
        if not same_port:
            server.settle_ports()
        await server.prepare(self._offspring)
        child = await self._launch(server)
        if child.exit_code is not None and port_was_busy(child.said()):
            if same_port:
                await asyncio.sleep(AGAIN_AFTER)  # what was killed with -9 may hold on for a moment
            else:
                self._note(f"another program took a port of {server.name} meanwhile; trying another one")
                server.settle_ports(anew=True)
            child = await self._launch(server)
        if child.exit_code is not None:
            raise StackFailed(explain_end(child, self._layout.directory))
        self._children[server.name] = child
        self._run(self._watch(server.name, child))
        up = Up(server.name, server.version(child), child.pid, server.url, round(time.monotonic() - began, 2))
        self._up[server.name] = up
        say(up)

    async def _launch(self, server: Server) -> Child:
        """A server that answers, or one that has ended."""
        child = self._offspring.spawn(server.name, server.program())
        note_pids(self._layout, {str(one.pid): Path(one.program.argv[0]).name for one in self._offspring.living()})
        try:
            await until_answer(server, child)
        except TimeoutError:
            child.signal(signal.SIGKILL)
            log = child.program.log
            raise StackFailed(f"{server.name} runs but did not answer at {server.url} within {server.patience:.0f} s. See {log}.") from None
        return child

    async def _watch(self, name: ServerName, child: Child) -> None:
        await child.ended.wait()
        if child in self._left_dead:
            return
        if self._request.supervise:
            raise StackFailed(explain_end(child, self._layout.directory))
        say(Dead(name, child.exit_code or 0, asked=False))

    async def _watch_disk(self) -> None:
        """Says it before the servers fail, each in its own way."""
        while True:
            free = shutil.disk_usage(self._layout.directory).free
            if free < DISK_LOW:
                self._note(f"The disk of {self._layout.directory} has only {free // 2**20} MB left; when it is full Kafka ends.")
                return
            await asyncio.sleep(DISK_EVERY)

    async def _listen(self) -> None:
        """The end of stdin is the end of the stack, and is heard while an act is being done."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                act = msgspec.json.decode(line, type=Act)
                self._run(self._perform(act))
            except msgspec.DecodeError as error:
                say(Refusal(f"not an act: {error}"))
        self._finish(None)

    async def _perform(self, act: Act) -> None:
        try:
            match act:
                case Kill(server):
                    say(Dead(server, await self._end_server(server, signal.SIGKILL), asked=True))
                case Restart(server, empty):
                    await self._restart(server, empty=empty)
        except StackFailed as failed:
            say(Refusal(str(failed)))

    async def _end_server(self, name: ServerName, how: signal.Signals) -> int:
        child = self._children.get(name)
        if child is None:
            raise StackFailed(f"{name} is not a server of this stack, or is not up yet.")
        self._left_dead.add(child)
        if child.exit_code is None:
            child.signal(how)
            child.signal(signal.SIGCONT)
        await child.ended.wait()
        await self._end_orphans(frozenset({Path(child.program.argv[0]).name}))
        return child.exit_code or 0

    async def _end_orphans(self, programs: frozenset[str]) -> None:
        """What a server had started itself, and left when it was killed."""
        limit = time.monotonic() + ORPHANS_END
        while not end_orphans(self._layout, programs) and time.monotonic() < limit:  # noqa: ASYNC110  # nobody tells of an orphan
            await asyncio.sleep(0.02)

    async def _restart(self, name: ServerName, *, empty: bool) -> None:
        server = self._servers.get(name)
        if server is None:
            raise StackFailed(f"{name} is not a server of this stack.")
        await self._end_server(name, server.end_with)
        if empty:
            server.wipe()
        await self._bring_up(server, same_port=True)


def failed_by(error: Exception, directory: Path) -> Failed:
    """In words, as far as they are known."""
    match first_of(error):
        case StackFailed() as told:
            return Failed(str(told), told.exit_code)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT, filename=file):
            return Failed(f"The disk of {file or directory} is full: free some space and start again; what was acknowledged is kept.", 1)
        case OSError(filename=str(file), strerror=reason):
            return Failed(f"The stack in {directory} cannot work with {file}: {reason}.", 1)
        case other:
            return Failed(f"the keeper failed: {type(other).__name__}: {other}", 1)


def first_of(error: Exception) -> Exception:
    """Several servers can fail at once, mostly for one cause; one message is enough, and one that we wrote says most."""
    if not isinstance(error, ExceptionGroup):
        return error
    return first_of((error.subgroup(StackFailed) or error).exceptions[0])


async def run(request: Request) -> int:
    layout = Layout(Path(request.directory))
    lock = take(layout)
    check_space(layout.directory)
    return await Keeper(request, layout, lock).keep()


def main() -> int:
    request = msgspec.json.decode(sys.argv[1], type=Request)
    try:
        return asyncio.run(run(request))
    except (StackFailed, OSError) as error:
        say(failed := failed_by(error, Path(request.directory)))
        return failed.exit_code


if __name__ == "__main__":
    sys.exit(main())
