"""A stack that runs on its own, seen from any process: found by its folder, used by its addresses, ended by a signal."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ledger.stack.failure import StackFailed
from ledger.stack.folder_lock import DYING, holder, is_keeper, take
from ledger.stack.layout import Layout
from ledger.stack.messages import Ready, ServerName, Up
from ledger.stack.postgres import with_password

STOP_PATIENCE = 30.0
VARIABLES: dict[ServerName, str] = {
    "kafka": "JOBLEDGER_KAFKA__BOOTSTRAP",
    "valkey": "JOBLEDGER_REDIS__URL",
    "postgres": "JOBLEDGER_DATABASE__URL",
}
State = Literal["running", "starting", "ending", "stopped"]


@dataclass(frozen=True)
class Running:
    directory: Path
    ready: Ready
    child: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)  # the keeper, in the process that started it

    @staticmethod
    def find(directory: Path) -> "Running | None":
        """None when it is stopped, or not ready yet, or when its keeper was killed and its servers are about to end."""
        layout = Layout(directory)
        keeper = holder(layout)
        ready = layout.read_state()
        return Running(directory, ready) if keeper and ready and ready.keeper == keeper and is_keeper(keeper) else None

    @property
    def kafka(self) -> str:
        return self._server("kafka").url

    @property
    def redis(self) -> str:
        return self._server("valkey").url

    @property
    def database(self) -> str:
        """With its password."""
        return with_password(self._server("postgres").url, self.directory)

    @property
    def pids(self) -> dict[str, int]:
        return {"keeper": self.ready.keeper} | {up.name: up.pid for up in self.ready.servers}

    @property
    def servers(self) -> tuple[Up, ...]:
        return self.ready.servers

    def environment(self) -> dict[str, str]:
        """The settings that name these servers, with the password."""
        urls = {up.name: self.database if up.name == "postgres" else up.url for up in self.servers}
        return {VARIABLES[name]: url for name, url in urls.items()}

    @property
    def ended(self) -> StackFailed | None:
        """That it is no more; None while it runs."""
        layout = Layout(self.directory)
        return None if holder(layout) == self.ready.keeper else has_ended(layout)

    def stop(self) -> None:
        stop(self.directory)
        if self.child:
            self.child.wait()

    def _server(self, name: ServerName) -> Up:
        for up in self.ready.servers:
            if up.name == name:
                return up
        raise StackFailed(f"The stack in {self.directory} runs without {name}: who started it uses one at an address of its own.")


def has_ended(layout: Layout) -> StackFailed:
    return StackFailed(f"The stack in {layout.directory} has ended. See {layout.keeper_log}.")


def state(directory: Path) -> State:
    """`ending`: its keeper was killed, and a server is not gone yet."""
    keeper = holder(Layout(directory))
    if keeper is None:
        return "stopped"
    if keeper and not is_keeper(keeper):
        return "ending"
    return "running" if Running.find(directory) else "starting"


def stop(directory: Path, *, dying: float = DYING) -> bool:
    """Ends keeper and servers and returns when they are gone; False when nothing ran."""
    layout = Layout(directory)
    keeper = holder(layout)
    if keeper is None:
        return False
    if is_keeper(keeper):
        with suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGTERM)
    limit = time.monotonic() + STOP_PATIENCE
    while is_keeper(keeper):
        if time.monotonic() > limit:
            raise StackFailed(f"The stack in {directory} did not end within {STOP_PATIENCE:.0f} s (keeper: pid {keeper}).")
        time.sleep(0.02)
    os.close(take(layout, dying=dying))  # what a keeper that was killed has left is ended
    return True
