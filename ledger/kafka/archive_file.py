"""An export as a file: checked from its first line to its last before anything is done with it, then read again partition by partition."""

from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.core import archive, chain, wire
from ledger.core.archive import Checker, Place
from ledger.core.chain import Head
from ledger.core.refusal import Conflict, Refused, Undecodable
from ledger.kafka.opening import LogIdentity
from ledger.kafka.verify import Progress

TOLD_EVERY: Final = 1000  # lines


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of one partition: where they begin in the file, and where their chain ends."""

    begins: int
    head: Head


class ArchiveFile:
    """A whole export. Its commits are judged again as they are read: the file may have changed since."""

    def __init__(self, path: Path, progress: Progress = lambda done, total: None) -> None:
        """Raises `Conflict` with the number of the byte at which the first line stands that does not fit, `Refused` where there is no such
        file, or one that cannot be read twice."""
        self.path = path
        self._sections: dict[Place, Section] = {}
        try:
            self.identity = self._check(progress)
        except OSError as error:
            raise Refused("unreadable", f"{path} cannot be read: {error.strerror}") from error

    def _check(self, progress: Progress) -> LogIdentity:
        checker, begins = Checker(), dict[Place, int]()
        size, done = self.path.stat().st_size, 0
        with self.path.open("rb") as file:
            if not file.seekable():
                raise Refused("unreadable", f"{self.path} can be read only once, and an export is read twice: unpack it to a file")
            while line := file.readline(archive.LONGEST_LINE):
                try:
                    taken = checker.take(line)
                except Conflict as error:
                    raise Conflict(f"{self.path}, byte {done}: {error}") from error
                if isinstance(taken, tuple):
                    begins.setdefault(taken[0], done)
                done += len(line)
                if not checker.commits % TOLD_EVERY:
                    progress(done, size)
        try:
            log, _ = checker.whole()
        except Conflict as error:
            raise Conflict(f"{self.path}: {error}") from error
        self._sections = {place: Section(begins[place], head) for place, head in checker.heads.items()}
        return LogIdentity(log.log_id, log.partitions, log.epoch)

    def head(self, place: Place) -> Head:
        """Where the chain of a partition ends."""
        return self._sections[place].head

    @property
    def commits(self) -> int:
        return sum(one.head.seq for one in self._sections.values())

    def records(self, place: Place) -> Iterator[bytes]:
        """The commits of a partition, in order. Raises `Conflict` if the file is not the one any more that was checked."""
        section, head = self._sections[place], Head(*place)
        try:
            with self.path.open("rb") as file:
                file.seek(section.begins)
                while head.seq < section.head.seq:
                    line = archive.decode(file.readline(archive.LONGEST_LINE))
                    record = line.record() if isinstance(line, archive.Commit) else b""
                    header, digest = wire.decode_header(record), chain.digest(record)
                    if chain.judge(head, header) != chain.ACCEPTED:
                        raise self._changed(f"seq {header.seq} stands behind seq {head.seq}")
                    head = chain.after(head, header, digest, 0)
                    yield record
        except (OSError, NotBase64, Undecodable) as error:
            raise self._changed(error) from error
        if head.digest != section.head.digest:
            raise self._changed(f"seq {head.seq} is another")

    def _changed(self, why: object) -> Conflict:
        return Conflict(f"{self.path} was changed while it was read: {why}")
