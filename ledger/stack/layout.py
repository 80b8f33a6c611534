"""The places inside a stack's folder, and the little that is written there about the stack itself."""

import os
import shutil
from pathlib import Path
from typing import IO

import msgspec

from ledger.stack.failure import StackFailed
from ledger.stack.messages import Ready

SPACE_NEEDED = 300 * 1024 * 1024
LOG_KEPT = 10 * 1024 * 1024


def write_private(path: Path, content: bytes, *, lasting: bool = False) -> None:
    """Replaces the file in one step; only its owner may read it. `lasting`: a machine that is switched off leaves none that is empty."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
        if lasting:
            out.flush()
            os.fsync(out.fileno())
    fresh.replace(path)


def check_space(directory: Path, needed: int = SPACE_NEEDED) -> None:
    """Empty servers take 41 MB, but initdb and Kafka fail in unlike ways when the disk fills up meanwhile."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise StackFailed(
            f"The disk of {directory} has {free // 2**20} MB free and the stack needs {needed // 2**20} MB. "
            "Free some space, or name another folder with --dir."
        )


def turn_over(log: Path) -> None:
    """Keeps one old log, so that a log grows over one run of the stack and not over all of them."""
    if log.exists() and log.stat().st_size > LOG_KEPT:
        log.replace(log.with_name(log.name + ".old"))


def open_log(log: Path) -> IO[bytes]:
    turn_over(log)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


class Layout:
    """Paths below one stack's folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = directory / "lock"
        self.ports = directory / "ports.json"
        self.pids = directory / "pids.json"
        self.state = directory / "stack.json"
        self.keeper_log = directory / "keeper.log"

    def folder(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write_state(self, state: Ready) -> None:
        write_private(self.state, msgspec.json.encode(state))

    def read_state(self) -> Ready | None:
        """What the running keeper wrote; None when there is none, or when it is still starting."""
        try:
            return msgspec.json.decode(self.state.read_bytes(), type=Ready)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
