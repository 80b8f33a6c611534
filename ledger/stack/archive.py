"""The archive of the classes that Kafka loads at its start (Java's CDS), beside its jars: it halves what a start costs.

A start that finds none lets Java list the classes. Once the stack is up a child makes the archive of them, at the lowest
priority, and ends with the stack: then the next one does it. Nothing depends on it: Java takes no archive that is damaged,
or of another Java or other jars, and goes on without. Such a one is removed: the next start lists again.
"""

import fcntl
import hashlib
import os
import signal
from contextlib import suppress
from pathlib import Path

from ledger.stack.failure import StackFailed
from ledger.stack.jars import KAFKA_VERSION
from ledger.stack.layout import check_space
from ledger.stack.offspring import Offspring, Program

SPACE = 300 * 1024 * 1024
KEPT = 3  # each virtual environment has a Java of its own
LISTED, COMPLETE, REFUSED = "tmp/classes.part", "tmp/classes", "tmp/refused"
QUIET = "-Xlog:cds*=off,aot*=off"
TELL = f"-Xlog:cds*=warning,aot*=warning:file={REFUSED}::filecount=0"  # of one that it takes it says nothing


class Archive:
    """For one command line: of another Java, with other flags or other jars, it is another one."""

    def __init__(self, cache: Path, java: tuple[str, ...], class_path: tuple[Path, ...]) -> None:
        self._folder = cache / "cds"
        self._command = (*java, "-cp", os.pathsep.join(map(str, class_path)))
        files = [path.resolve() for path in (Path(java[0]), *class_path)]
        told = (java[1:], [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files])
        self._file = self._folder / f"{KAFKA_VERSION}-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}.jsa"
        self._is_used = False

    def options(self) -> tuple[str, ...]:
        """For a start: use it, or list what it shall hold."""
        self._is_used = os.access(self._file, os.R_OK)
        if self._is_used:
            return (f"-XX:SharedArchiveFile={self._file}", "-XX:+VerifySharedSpaces", QUIET, TELL)
        return (f"-XX:DumpLoadedClassList={LISTED}",)

    async def make(self, offspring: Offspring, folder: Path) -> None:
        """Of what the start in this folder has listed, where it did. Says nothing when it cannot be made: then a start is as it was."""
        with suppress(OSError, StackFailed):
            if self._is_used:
                if (folder / REFUSED).stat().st_size:
                    self._file.unlink()
            elif not self._file.exists() and _complete(folder):
                self._folder.mkdir(exist_ok=True)
                with (self._folder / "lock").open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: another stack is at it
                    if not self._file.exists():
                        await self._make(offspring, folder)

    async def _make(self, offspring: Offspring, folder: Path) -> None:
        for left in self._folder.glob("*.new"):  # by who was killed
            left.unlink()
        check_space(self._folder, SPACE)
        fresh = self._file.with_suffix(f".{os.getpid()}.new")
        argv = (*self._command, "-Xshare:dump", f"-XX:SharedClassListFile={COMPLETE}", f"-XX:SharedArchiveFile={fresh}")
        child = offspring.spawn("the archive", Program(argv, folder, folder / "archive.log", signal.SIGKILL, gentle=True))
        try:
            await child.ended.wait()
            if child.exit_code == 0:
                self._put(fresh)
        finally:  # the stack may have ended meanwhile
            if child.exit_code is None:
                child.signal(signal.SIGKILL)
            fresh.unlink(missing_ok=True)

    def _put(self, fresh: Path) -> None:
        fresh.replace(self._file)
        others = [path for path in self._folder.glob("*.jsa") if path != self._file]  # maybe of a clock that was ahead
        for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
            old.unlink()


def _complete(folder: Path) -> bool:
    """Whether there is a list. Java goes on writing it, so its last line may be half a one."""
    listed = folder / LISTED
    if not listed.exists():
        return False
    lines = listed.read_bytes()
    (folder / COMPLETE).write_bytes(lines[: lines.rfind(b"\n") + 1])
    return True
