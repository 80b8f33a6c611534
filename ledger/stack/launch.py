"""`Stack`: the parent's side of a keeper."""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from ledger.stack.failure import StackFailed, failure
from ledger.stack.folder_lock import unusable
from ledger.stack.given import Given, check_given
from ledger.stack.jars import cache_folder
from ledger.stack.layout import Layout, open_log
from ledger.stack.messages import Act, Dead, Failed, Kill, Message, Note, Ready, Refusal, Request, Restart, ServerName, Stopped, Up
from ledger.stack.postgres import with_password
from ledger.stack.running import STOP_PATIENCE, Running, has_ended

ACT_PATIENCE = 180.0
Progress = Callable[[str], None]


class Stack:
    """Servers that live as long as this object's process, at most: they end with `stop`, and with the process however it ends."""

    def __init__(self, directory: Path, given: Given, keeper: "subprocess.Popen[bytes] | None", on_progress: Progress | None) -> None:
        self.directory = directory
        self.failure: Failed | None = None  # why the stack ended by itself
        self._is_up = False
        self._given = given
        self._keeper = keeper
        self._progress = on_progress
        self._up: dict[str, Up] = {}
        self._answers: queue.Queue[Message | None] = queue.Queue()
        self._reader: threading.Thread | None = None

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        cache: Path | None = None,
        fast: bool = False,
        supervise: bool = True,
        on_progress: Progress | None = None,
        kafka: str | None = None,
        redis: str | None = None,
        database: str | None = None,
    ) -> Self:
        """Blocks until every server answers; raises `StackFailed`. A server given by its address has to answer, and is used instead.
        `on_progress` is called by a thread; once it has raised, it is not called again."""
        directory = Path(directory).absolute()
        given = Given(kafka, redis, database)
        check_given(given)
        servers = given.missing()
        if not servers:
            return cls(directory, given, None, on_progress)
        where = cache or cache_folder(os.environ, directory)
        request = Request(str(directory), str(where.absolute()), servers, attached=True, supervise=supervise, fast=fast)
        stack = cls(directory, given, spawn_keeper(request, subprocess.PIPE, subprocess.PIPE), on_progress)
        stack._await_ready()
        return stack

    @classmethod
    def start_background(
        cls, directory: Path, *, cache: Path | None = None, fast: bool = False, on_progress: Progress | None = None
    ) -> Running:
        """As `start`, but the servers go on without this process, until somebody stops them (`Running.stop`)."""
        directory = Path(directory).absolute()
        where = cache or cache_folder(os.environ, directory)
        request = Request(str(directory), str(where.absolute()), attached=False, fast=fast)
        keeper = spawn_keeper(request, subprocess.DEVNULL, subprocess.PIPE)
        return Running(directory, cls(directory, Given(), keeper, on_progress)._await_ready(), keeper)

    @property
    def kafka(self) -> str:
        return self._given.kafka or self._up["kafka"].url

    @property
    def redis(self) -> str:
        return self._given.redis or self._up["valkey"].url

    @property
    def database(self) -> str:
        """With its password."""
        return self._given.database or with_password(self._up["postgres"].url, self.directory)

    @property
    def pids(self) -> dict[str, int]:
        """The keeper's and its servers'."""
        own = {"keeper": self._keeper.pid} if self._keeper else {}
        return own | {name: up.pid for name, up in self._up.items()}

    @property
    def servers(self) -> tuple[Up, ...]:
        return tuple(self._up.values())

    @property
    def ended(self) -> StackFailed | None:
        """Why it is no more, or will be in a moment; None while it runs."""
        return self._ended() if self.failure or (self._reader and not self._reader.is_alive()) else None

    def kill(self, name: ServerName) -> None:
        """kill -9; returns when the server is gone. It stays dead until `restart`, supervised or not."""
        self._ask(Kill(name))

    def restart(self, name: ServerName, *, empty: bool = False) -> None:
        """Ends the server if it runs, and starts it again at the same address, with its data or `empty`; returns when it answers."""
        self._ask(Restart(name, empty))

    def stop(self) -> None:
        """Ends all servers; returns when they are gone. May be called again."""
        if self._keeper is None:
            return
        if self._keeper.stdin:
            self._keeper.stdin.close()
        else:
            self._keeper.terminate()
        try:
            self._keeper.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        if self._reader:
            self._reader.join()
        if self._keeper.stdout:
            self._keeper.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _await_ready(self) -> Ready:
        assert self._keeper and self._keeper.stdout
        self._reader = threading.Thread(target=self._read, args=(self._keeper.stdout,), name="stack", daemon=True)
        self._reader.start()
        try:
            while not isinstance(message := self._answers.get(), Ready):
                if message is None:
                    raise self._ended()
            self._is_up = True
            return message
        except BaseException:  # Ctrl-C too: nothing may be left
            self.stop()
            raise

    def _read(self, lines: IO[bytes]) -> None:
        try:
            for line in lines:
                self._hear(msgspec.json.decode(line, type=Message))
        finally:
            self._answers.put(None)

    def _hear(self, message: Message) -> None:
        match message:
            case Note(text):
                self._tell(text)
            case Up():
                self._up[message.name] = message
                self._tell(f"{message.name} {message.version} is ready ({message.seconds:.1f} s)")
                self._answers.put(message)
            case Failed():
                self.failure = message
                if self._is_up:  # else `start` raises it
                    self._tell(message.message)
            case Dead(asked=False):
                self._tell(f"{message.server} ended with {message.exit_code} and is left dead")
            case Dead() | Ready() | Refusal():
                self._answers.put(message)
            case Stopped():
                pass

    def _tell(self, text: str) -> None:
        if self._progress:
            try:
                self._progress(text)
            except Exception:  # mostly nobody reads any more: the keeper has to be heard all the same
                self._progress = None

    def _ask(self, act: Act) -> None:
        if self._keeper is None or not self._keeper.stdin:
            raise StackFailed(f"{act.server} was given by its address: it is not ours to end.")
        try:
            self._keeper.stdin.write(msgspec.json.encode(act) + b"\n")
            self._keeper.stdin.flush()
            answer = self._answers.get(timeout=ACT_PATIENCE)
        except (BrokenPipeError, ValueError) as error:
            raise self._ended() from error
        except queue.Empty as error:
            raise StackFailed(f"The keeper did not answer within {ACT_PATIENCE:.0f} s. See {Layout(self.directory).keeper_log}.") from error
        if answer is None:
            self._answers.put(None)
            raise self._ended()
        if isinstance(answer, Refusal):
            raise StackFailed(answer.message)

    def _ended(self) -> StackFailed:
        if self.failure:
            return failure(self.failure.message, self.failure.exit_code)
        return has_ended(Layout(self.directory))


def spawn_keeper(request: Request, stdin: int, stdout: "int | IO[bytes]") -> "subprocess.Popen[bytes]":
    """In a session of its own: Ctrl-C is the parent's affair, and the keeper ends by its stdin. `-P`: its folder holds no modules."""
    layout = Layout(Path(request.directory))
    home = str(Path(__file__).resolve().parents[2])
    others = os.environ.get("PYTHONPATH")
    try:
        said = msgspec.json.encode(request).decode()
    except UnicodeEncodeError as error:
        raise StackFailed(f"The stack cannot work in {error.object}: that name is no UTF-8. Name another folder.") from error
    try:
        layout.directory.mkdir(parents=True, exist_ok=True)
        with open_log(layout.keeper_log) as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "ledger.stack.keeper", said],
                stdin=stdin,
                stdout=stdout,
                stderr=log,
                cwd=layout.directory,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([home, others] if others else [home])},
                start_new_session=True,
            )
    except OSError as error:
        raise StackFailed(unusable(layout.directory, error)) from error
