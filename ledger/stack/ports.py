"""Ports of one stack: kept in its folder, so that a restart has the same addresses where it can."""

import random
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from ledger.stack.layout import write_private

# Below the ranges from which Linux (32768-) and macOS (49152-) serve outgoing connections: a client that keeps
# knocking at a dead server's port can otherwise be given that very port and connect to itself.
RANGE = range(15_000, 32_000)
TRIES = 50


def is_free(port: int) -> bool:
    """Whether a server on the loopback could bind it now. SO_REUSEADDR: connections that linger in TIME_WAIT do not count."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """`ports.json`: a name (kafka, controller, valkey, postgres) to its port."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._draw = random.SystemRandom()
        self._kept = self._read()

    def __getitem__(self, name: str) -> int:
        return self._kept[name]

    def settle(self, name: str) -> int:
        """The kept port when it is free, else another, said aloud."""
        kept = self._kept.get(name)
        if kept is not None and is_free(kept):
            return kept
        port = self.renew(name)
        if kept is not None:
            self._say(f"port {kept} of {name} is busy, using {port}")
        return port

    def renew(self, name: str) -> int:
        self._kept[name] = port = self._pick()
        write_private(self._path, msgspec.json.encode(self._kept))
        return port

    def _pick(self) -> int:
        for _ in range(TRIES):
            port = self._draw.choice(RANGE)
            if port not in self._kept.values() and is_free(port):
                return port
        with socket.socket() as any_port:
            any_port.bind(("127.0.0.1", 0))
            number: int = any_port.getsockname()[1]
            return number

    def _read(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}
