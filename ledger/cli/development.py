"""What `jobledger dev` keeps running: control, runners and projections, restarted when a file they use is saved."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from ledger.bootstrap import settings_from_environment
from ledger.cli.errors import UNREACHABLE
from ledger.cli.output import talk
from ledger.config import Settings
from ledger.core.refusal import LedgerError
from ledger.kafka import topics
from ledger.kafka.opening import open_log
from processors.supervisor import SETTLE, Part, Supervisor, ends_by_signals, environment, parts
from projections import schema

log = structlog.get_logger(__name__)
LOOK_EVERY: Final = 0.5  # seconds
MOST_FILES: Final = 5000
MOST_TRIES: Final = 20  # of an apply, while control is starting
PROGRAM: Final = (sys.executable, "-c", "from ledger.cli.main import main; main()")

Stamps = dict[Path, int]


async def prepare(settings: Settings) -> None:
    """Topics, the log and tables for these settings."""
    await topics.apply(settings)
    await open_log(settings)
    await asyncio.to_thread(schema.upgrade, settings)


async def _cancelled(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@dataclass(slots=True)
class Development:
    settings: Settings
    directory: Path
    servers_ended: Callable[[], LedgerError | None]  # why, if they did
    log_level: str = "INFO"  # of its processes
    _pids: dict[str, int] = field(default_factory=dict)
    _supervisor: Supervisor = field(init=False)
    _begins_anew: bool = False  # once the processes of now have ended

    async def run(self) -> int:
        """Until SIGINT or SIGTERM, or until the servers end: raises what ended them. The exit code."""
        helping = asyncio.gather(self._watch(), self._end_with_servers())
        try:
            code = await self._live()
            while self._begins_anew:
                code = await self._live()
        finally:
            await _cancelled(helping)
        if (why := self.servers_ended()) is not None:
            raise why
        return code

    async def _live(self) -> int:
        """The processes for the settings of now, until they are to end."""
        self._begins_anew = False
        self._pids.clear()
        grace = self.settings.limits.shutdown_grace + SETTLE
        self._supervisor = Supervisor(self._parts(), environment(None, None), grace=grace, started=self._pids.__setitem__)
        applying = asyncio.create_task(self._apply())
        try:
            return await self._supervisor.run()
        finally:
            await _cancelled(applying)

    def _parts(self) -> list[Part]:
        projections = Part("projections", (*PROGRAM, "projections", "run", "--log-level", self.log_level))
        return [*parts(queues=list(self.settings.queues), only=None, log_level=self.log_level), projections]

    async def _end_with_servers(self) -> None:
        while True:
            if self.servers_ended() is not None:
                break
            await asyncio.sleep(LOOK_EVERY)
        log.error("the servers have ended; what uses them is ended too", action="dev.servers_ended")
        self._end()

    def _end(self) -> None:
        self._begins_anew = False
        self._supervisor.stop()

    async def _apply(self) -> None:
        """By a process of its own, which imports the handlers anew. Control may just be starting."""
        for _ in range(MOST_TRIES):
            process = await asyncio.create_subprocess_exec(*PROGRAM, "apply", stdout=sys.stderr.fileno(), stderr=asyncio.subprocess.PIPE)
            try:
                _, said = await process.communicate()
            except asyncio.CancelledError:
                with suppress(ProcessLookupError):
                    process.kill()
                raise
            if process.returncode != UNREACHABLE:
                if said:
                    talk(said.decode(errors="replace").rstrip("\n"))
                return
            await asyncio.sleep(LOOK_EVERY)
        log.error("the configuration is not applied", action="apply.failed", said=said.decode(errors="replace").strip())

    async def _watch(self) -> None:
        before = await asyncio.to_thread(self._stamps)
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = await asyncio.to_thread(self._stamps)
            changed = sorted(path for path in now.keys() | before.keys() if now.get(path) != before.get(path))
            before = now
            if changed:
                await self._reload(changed)

    async def _reload(self, changed: list[Path]) -> None:
        log.info("saved; restarting", action="dev.reload", files=[str(path.relative_to(self.directory)) for path in changed[:5]])
        if any(path.suffix in (".yaml", ".yml") for path in changed):
            await self._begin_anew()
            return
        for name, pid in self._pids.items():
            if name.startswith("runner-"):
                with suppress(ProcessLookupError):  # it ended by itself; the supervisor starts it again
                    os.kill(pid, signal.SIGTERM)
        await self._apply()

    async def _begin_anew(self) -> None:
        """All processes, as other settings may be of other queues. What cannot be taken leaves those that run as they are."""
        try:
            self.settings = await self._taken()
        except LedgerError as error:
            log.error("these settings are not taken, what runs goes on with those before", action="dev.not_taken", error=str(error))
            return
        ends_by_signals(self._end)  # they went to a supervisor that is about to end
        self._begins_anew |= not self._supervisor.is_stopping
        self._supervisor.stop()

    async def _taken(self) -> Settings:
        settings = settings_from_environment()
        await prepare(settings)
        return settings

    def _stamps(self) -> Stamps:
        stamps: Stamps = {}
        for path in self._files():
            with suppress(OSError):
                stamps[path] = path.stat().st_mtime_ns
        return stamps

    def _files(self) -> Iterator[Path]:
        """Python and YAML of the project, not of environments and hidden folders."""
        count = 0
        for folder, folders, files in os.walk(self.directory):
            folders[:] = [name for name in folders if not name.startswith((".", "__")) and name not in ("venv", "node_modules")]
            for name in files:
                if name.endswith((".py", ".yaml", ".yml")):
                    count += 1
                    if count > MOST_FILES:
                        return
                    yield Path(folder, name)
