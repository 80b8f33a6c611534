"""What `jobledger dev` keeps running: control, runners and projections, restarted when a file they use is saved."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from ledger.cli.errors import UNREACHABLE
from ledger.config import Settings
from ledger.core.refusal import LedgerError
from processors.supervisor import SETTLE, Part, Supervisor, environment, parts

log = structlog.get_logger(__name__)
LOOK_EVERY: Final = 0.5  # seconds
MOST_FILES: Final = 5000
MOST_TRIES: Final = 20  # of an apply, while control is starting
PROGRAM: Final = (sys.executable, "-c", "from ledger.cli.main import main; main()")

Stamps = dict[Path, int]


@dataclass(slots=True)
class Development:
    settings: Settings
    directory: Path
    servers_ended: Callable[[], LedgerError | None]  # why, if they did
    _pids: dict[str, int] = field(default_factory=dict)

    async def run(self) -> int:
        """Until SIGINT or SIGTERM, or until the servers end: raises what ended them. The exit code."""
        supervisor = Supervisor(
            self._parts(),
            environment(None, None),
            grace=self.settings.limits.shutdown_grace + SETTLE,
            started=self._pids.__setitem__,
        )
        running = asyncio.create_task(supervisor.run())
        helping = asyncio.gather(self._watch(), self._apply(), self._end_with_servers(supervisor))
        try:
            code = await running
        finally:
            helping.cancel()
            with suppress(asyncio.CancelledError):
                await helping
        if (why := self.servers_ended()) is not None:
            raise why
        return code

    def _parts(self) -> list[Part]:
        return [*parts(queues=list(self.settings.queues), only=None), Part("projections", (*PROGRAM, "projections", "run"))]

    async def _end_with_servers(self, supervisor: Supervisor) -> None:
        while True:
            if self.servers_ended() is not None:
                break
            await asyncio.sleep(LOOK_EVERY)
        log.error("the servers have ended; what uses them is ended too", action="dev.servers_ended")
        supervisor.stop()

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
                sys.stderr.write(said.decode(errors="replace"))
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
        settings_too = any(path.suffix in (".yaml", ".yml") for path in changed)
        log.info("saved; restarting", action="dev.reload", files=[str(path.relative_to(self.directory)) for path in changed[:5]])
        for name, pid in self._pids.items():
            if name.startswith("runner-") or (settings_too and name == "control"):
                with suppress(ProcessLookupError):  # it ended by itself; the supervisor starts it again
                    os.kill(pid, signal.SIGTERM)
        await self._apply()

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
