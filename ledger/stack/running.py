"""A stack that runs on its own, seen from any process: found by its folder, used by its addresses, ended by a signal."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ledger.stack.failure import StackFailed
from ledger.stack.folder_lock import holder, is_keeper
from ledger.stack.layout import Layout
from ledger.stack.messages import Ready, ServerName, Up
from ledger.stack.postgres import with_password

STOP_PATIENCE = 30.0
State = Literal["running", "starting", "stopped"]


@dataclass(frozen=True)
class Running:
    directory: Path
    ready: Ready
    child: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)  # the keeper, in the process that started it

    @staticmethod
    def find(directory: Path) -> "Running | None":
        """None when it is stopped, or not ready yet."""
        layout = Layout(directory)
        keeper = holder(layout)
        ready = layout.read_state()
        return Running(directory, ready) if keeper and ready and ready.keeper == keeper else None

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

    def stop(self) -> None:
        stop(self.directory)
        if self.child:
            self.child.wait()

    def _server(self, name: ServerName) -> Up:
        return next(up for up in self.ready.servers if up.name == name)


def state(directory: Path) -> State:
    if holder(Layout(directory)) is None:
        return "stopped"
    return "running" if Running.find(directory) else "starting"


def stop(directory: Path) -> bool:
    """Ends keeper and servers and returns when they are gone; False when nothing ran."""
    layout = Layout(directory)
    keeper = holder(layout)
    if keeper is None:
        return False
    if is_keeper(keeper):
        os.kill(keeper, signal.SIGTERM)
    limit = time.monotonic() + STOP_PATIENCE
    while holder(layout) is not None:
        if time.monotonic() > limit:
            raise StackFailed(f"The stack in {directory} did not end within {STOP_PATIENCE:.0f} s (keeper: pid {keeper}).")
        time.sleep(0.02)
    return True
