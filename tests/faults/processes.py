"""The processes of a cluster: started, killed, stopped and awaited by name. Their timing is in the test's hands."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests import forked

ROOT: Final = Path(__file__).resolve().parents[2]
STOP_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that is gone. `killed`: we did it, by SIGKILL."""

    name: str
    pid: int
    at: float
    code: int
    killed: bool


@dataclass(slots=True)
class Running:
    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    process: forked.Forked
    log: Path


@dataclass(slots=True)
class Processes:
    """Each name has one log, which its successors continue. `ended` is the history, oldest first."""

    folder: Path
    environment: Mapping[str, str]
    running: dict[str, Running] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)

    def start(self, name: str, *command: str, **environment: str) -> int:
        """A process of `tests.faults.child` with these arguments; its pid."""
        if name in self.running:
            raise AssertionError(f"{name} runs already")
        log = self.folder / f"{name}.log"
        ours = {name: value for name, value in os.environ.items() if not name.startswith("JOBLEDGER_")}  # they would name other servers
        here = {**ours, **self.environment, **environment}
        here["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with log.open("ab") as output:
            process = forked.start(
                "tests.faults.child", str(forked.parent()), *command, cwd=self.folder, env=here, stdout=output, stderr=output
            )
        self.running[name] = Running(name, command, dict(environment), process, log)
        return process.pid

    def send(self, name: str, number: signal.Signals) -> None:
        self.running[name].process.send_signal(number)

    def kill(self, name: str, *, again: bool = True, told: Mapping[str, str] | None = None) -> int:
        """kill -9; its successor is started at once, with `told` in its environment. The pid that was killed."""
        one = self.running.pop(name)
        one.process.kill()
        code = one.process.wait()
        self.ended.append(Ended(name, one.process.pid, time.monotonic(), code, code == -signal.SIGKILL))
        if again:
            self.start(name, *one.command, **(told or {}))
        return one.process.pid

    def look(self, *, again: bool = True) -> list[Ended]:
        """Those that ended by themselves since the last look; a successor is started at once, without what the first one was told."""
        fresh: list[Ended] = []
        for name, one in list(self.running.items()):
            code = one.process.poll()
            if code is not None:
                del self.running[name]
                fresh.append(Ended(name, one.process.pid, time.monotonic(), code, killed=False))
                if again:
                    self.start(name, *one.command)
        self.ended += fresh
        return fresh

    def stop(self, name: str) -> int:
        """SIGTERM, and wait; the exit code."""
        one = self.running.pop(name)
        one.process.send_signal(signal.SIGCONT)
        one.process.terminate()
        code = one.process.wait(STOP_PATIENCE)
        self.ended.append(Ended(name, one.process.pid, time.monotonic(), code, killed=False))
        return code

    def end_all(self) -> None:
        """kill -9, all of them: the test is over."""
        for one in self.running.values():
            one.process.kill()
        for one in self.running.values():
            one.process.wait()
        self.running.clear()

    def said(self, name: str) -> str:
        """Its log, its predecessors' included."""
        log = self.folder / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def killed_pids(self) -> set[int]:
        return {one.pid for one in self.ended if one.killed}

    @property
    def surprises(self) -> list[Ended]:
        """Ended by themselves, and not because they were asked to."""
        return [one for one in self.ended if not one.killed and one.code not in (0, -signal.SIGTERM)]
