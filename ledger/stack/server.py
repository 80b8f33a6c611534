"""What the keeper needs to know of a server, and how a log is read for the line that explains an end."""

import asyncio
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ledger.stack.messages import ServerName
from ledger.stack.offspring import Child, Offspring, Program

Say = Callable[[str], None]

FULL = 2**20
BUSY = ("address already in use", "bindexception", "could not create any tcp/ip sockets")
SPACE = ("no space left", "diskfull", "disk full", "not enough space")
NOISE = ("no configuration found", "\tat ", "    at ")
LOUD = ("panic", "fatal", "error", "exception", "failed", "warning: out of")


class Server(Protocol):
    """One of the three. `prepare` may be called again: what is done is not done twice."""

    name: ServerName
    end_with: signal.Signals
    patience: float  # seconds from start to an answer, on a machine under load

    @property
    def url(self) -> str: ...

    async def prepare(self, offspring: Offspring) -> None: ...

    def program(self) -> Program: ...

    async def answers(self) -> bool: ...

    async def when_all_are_up(self, offspring: Offspring) -> None:
        """What makes later starts cheaper, and may take its time. It must not fail."""

    def version(self, child: Child) -> str: ...

    def settle_ports(self, *, anew: bool = False) -> None: ...

    def wipe(self) -> None: ...


def port_was_busy(lines: list[str]) -> bool:
    return _first(lines, BUSY) is not None


def disk_was_full(lines: list[str]) -> str | None:
    """The line that says so."""
    return _first(lines, SPACE)


def telling_line(lines: list[str]) -> str:
    """Of a log's last lines the one that explains an end: a full disk, a busy port, the last loud one, else the last."""
    told = [line for line in lines if not any(noise in line.lower() for noise in NOISE)]
    loud = [line for line in told if any(word in line.lower() for word in LOUD)]
    found = disk_was_full(told) or _first(told, BUSY) or (loud or told or ["(nothing)"])[-1]
    return found.strip()[:500]


def explain_end(child: Child, directory: Path) -> str:
    """What happened, where, what to do: for a server that ended though nobody asked it to."""
    lines = child.said()
    ending = f"was killed by signal {-code}" if (code := child.exit_code or 0) < 0 else f"ended with exit code {code}"
    text = f"{child.name} {ending}. Its log {child.program.log} says: {telling_line(lines)}"
    if disk_was_full(lines) or shutil.disk_usage(directory).free < FULL:  # then there may be no room for the line either
        text += f" -- The disk of {directory} is full: free some space and start again; what was acknowledged is kept."
    return text


def version_said(child: Child, pattern: str) -> str:
    found = re.search(pattern, "\n".join(child.said()))
    return found[1] if found else "(unknown)"


def _first(lines: list[str], words: tuple[str, ...]) -> str | None:
    return next((line for line in lines if any(word in line.lower() for word in words)), None)


async def until_answer(server: Server, child: Child) -> bool:
    """True when the server answers, False when it has ended instead; TimeoutError after its patience."""
    async with asyncio.timeout(server.patience):
        while not child.ended.is_set():
            if await server.answers():
                return child.exit_code is None
            try:
                async with asyncio.timeout(0.03):
                    await child.ended.wait()
            except TimeoutError:
                continue
        return False
