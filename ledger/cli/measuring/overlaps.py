"""Whether exclusive code ever ran beside itself: what the handlers noted, and what the log says, each held against the rule by itself."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cache
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Final

from msgspec import Struct

from ledger.config import Settings
from ledger.context import Context
from ledger.core import execution, wire
from ledger.core.chain import Head
from ledger.kafka.log_reader import LogReader

ENDS: Final = (
    execution.Completed,
    execution.Failed,
    execution.AttemptFailed,
    execution.HandedBack,
    execution.Snoozed,
    execution.AttemptLost,
    execution.Lost,
    execution.Cancelled,
    execution.Skipped,
)


class Run(Struct, frozen=True):
    """One execution of the code, by the machine's monotonic clock in nanoseconds. `locked`: nobody else held the file of its key.
    `end` 0: it never came there, as its process was killed."""

    key: str
    execution_id: str
    token: int
    pid: int
    start: int
    end: int
    locked: bool


@cache
def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


@contextmanager
def noted(folder: str, key: str, ctx: Context) -> Iterator[None]:
    """One short line at the start and one at the end, each written at once: lines of several processes do not mix, and survive a kill -9.
    Between them the file of the key is locked, if nobody else holds it."""
    journal = _opened(f"{folder}/journal")
    file = os.open(f"{folder}/{key}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    start, locked = time.monotonic_ns(), 1
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError:
        locked = 0
    line = f"{key} {ctx.execution_id} {ctx.token} {os.getpid()} {start} {locked}"
    os.write(journal, f"start {line} 0\n".encode())
    try:
        yield
    finally:
        os.write(journal, f"end {line} {time.monotonic_ns()}\n".encode())
        os.close(file)


def read_runs(folder: Path) -> list[Run]:
    """In the order of their starts."""
    journal = folder / "journal"
    runs: dict[tuple[str, str, str], Run] = {}  # by token, process and start
    for line in journal.read_text().splitlines() if journal.exists() else []:
        _, key, name, token, pid, start, locked, end = line.split()
        runs[token + name, pid, start] = Run(key, name, int(token), int(pid), int(start), int(end), locked == "1")
    return sorted(runs.values(), key=attrgetter("start"))


def overlaps_of(runs: Iterable[Run], died: Iterable[tuple[int, int]] = ()) -> list[str]:
    """What is wrong with them: of one key, one may begin only after the one before has ended, and with a higher token. `died`: processes
    that were killed, and when; what ran in them ended then."""
    deaths = dict(died)
    by_key: dict[str, list[Run]] = {}
    for run in runs:
        by_key.setdefault(run.key, []).append(run)
    wrong = [f"{one} found the file of its key locked" for group in by_key.values() for one in group if not one.locked]
    for group in by_key.values():
        for earlier, later in pairwise(group):
            end = earlier.end or deaths.get(earlier.pid)
            if end is None or end > later.start:
                wrong.append(f"{later} began before {earlier} had ended")
            if later.token <= earlier.token:
                wrong.append(f"{later} has no higher token than {earlier}")
    return wrong


@dataclass(slots=True)
class Intervals:
    """The attempts by the order of the log. Feed it with the events of a partition, in order."""

    keys: dict[str, str] = field(default_factory=dict)  # of executions
    active: dict[str, str] = field(default_factory=dict)  # key -> execution
    tokens: dict[str, int] = field(default_factory=dict)  # key -> of its last start
    wrong: list[str] = field(default_factory=list)
    starts: int = 0

    def note(self, event: wire.Event) -> None:
        match event:
            case execution.Requested(execution_id=name, exclusive_key=str() as key):
                self.keys[name] = key
            case execution.Started(execution_id=name, token=token) if name in self.keys:
                self._started(self.keys[name], name, token)
            case _ if isinstance(event, ENDS) and event.execution_id in self.keys:
                key = self.keys[event.execution_id]
                if self.active.get(key) == event.execution_id:
                    del self.active[key]

    def _started(self, key: str, name: str, token: int) -> None:
        self.starts += 1
        if key in self.active:
            self.wrong.append(f"{name} started while {self.active[key]} was active under {key}")
        if token <= self.tokens.get(key, -1):
            self.wrong.append(f"{name} started under {token}, after {self.tokens[key]}, both under {key}")
        self.active[key], self.tokens[key] = name, token


async def overlaps_in_log(settings: Settings) -> tuple[list[str], int]:
    """What is wrong with the attempts in the log, and how many exclusive ones were started."""
    wrong: list[str] = []
    starts = 0
    for partition in range(settings.partitions):
        intervals = Intervals()
        async with LogReader(settings, "events", partition) as reader:
            bounds = await reader.bounds()
            async with aclosing(reader.commits(Head("events", partition), bounds.end)) as walk:
                async for walked in walk:
                    for accepted in walked.commits:
                        for event in accepted.commit().events:
                            intervals.note(event)
        wrong += intervals.wrong
        starts += intervals.starts
    return wrong, starts
