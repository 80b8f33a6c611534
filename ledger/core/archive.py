"""The form of an exported log: JSON lines with the commits' own bytes, so that whoever has the file can check every chain in it.

The first line says which log it is, then come the commits of the registry and of each partition of the events, in order, and the last line
says how many there are and where each chain ends: a file that was cut short has none. Voids are left out; they count for no reader.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from typing import Final

from msgspec import DecodeError, Raw, Struct, ValidationError, json

from ledger.core import chain, outcome, wire
from ledger.core.chain import Head
from ledger.core.refusal import Conflict, Undecodable

FORMAT: Final = 1
LONGEST_LINE: Final = 2 * wire.LARGEST_RECORD  # a commit of the largest size, in base64, and what stands around it
Place = tuple[str, int]  # (log, partition)
REGISTRY: Final[Place] = ("registry", 0)


class Log(Struct, frozen=True, tag_field="is", tag="log"):
    """The first line."""

    format: int
    log_id: str
    partitions: int
    epoch: int
    exported_at: str  # for people


class Commit(Struct, frozen=True, omit_defaults=True, tag_field="is", tag="commit"):
    """A commit as it stood in its partition: `commit` is its very text, `base64` its bytes where that does not fit a line. Where and when
    it stood there is for people; no digest covers it."""

    log: str
    partition: int
    offset: int
    appended_ms: int
    commit: Raw = Raw()
    base64: str | None = None

    def record(self) -> bytes:
        """Raises `binascii.Error`."""
        return bytes(self.commit) if self.base64 is None else b64decode(self.base64, validate=True)


class Ended(Struct, frozen=True):
    """Where the chain of a partition ends."""

    log: str
    partition: int
    seq: int
    digest: str


class End(Struct, frozen=True, tag_field="is", tag="end"):
    """The last line."""

    commits: int
    heads: tuple[Ended, ...]


Line = Log | Commit | End
_line: "json.Decoder[Line]" = json.Decoder(Line)
_FRONT: Final = b'{"is":"commit","log":"%s","partition":%d,"offset":%d,"appended_ms":%d,'


def places(partitions: int) -> Iterator[Place]:
    """In the order in which an archive holds them."""
    yield REGISTRY
    for number in range(partitions):
        yield "events", number


def encode(line: Log | End) -> bytes:
    return json.encode(line) + b"\n"


def encode_commit(place: Place, offset: int, appended_ms: int, record: bytes) -> bytes:
    """The line of a commit."""
    front = _FRONT % (place[0].encode(), place[1], offset, appended_ms)
    if _fits_a_line(record):
        return front + b'"commit":' + record + b"}\n"
    return front + b'"base64":"' + b64encode(record) + b'"}\n'


def _fits_a_line(record: bytes) -> bool:
    """Its bytes come back from the line as they are: bodies of users may hold line breaks, and spaces at its ends would be lost."""
    if record[:1] != b"{" or record[-1:] != b"}" or b"\n" in record or b"\r" in record:
        return False
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode(line: bytes) -> Line:
    """Raises `Undecodable`."""
    try:
        return _line.decode(line)
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable("not_a_line", f"{error}; starts with {line[:60]!r}") from error


class Checker:
    """Follows an archive line by line. What does not fit is raised as `Conflict`, with words for who holds the file."""

    def __init__(self) -> None:
        self.log: Log | None = None
        self.end: End | None = None
        self.commits = 0
        self.heads: dict[Place, Head] = {}
        self._expected: Iterator[Place] = iter(())
        self._here: Place | None = None

    def take(self, line: bytes) -> "Log | tuple[Place, bytes] | End":
        """What the line holds, once it is known to fit: of a commit its partition and its bytes."""
        try:
            match decode(line):
                case Commit() as one:
                    return self._commit(one)
                case Log() as log:
                    self._begin(log)
                    return log
                case End() as end:
                    self._finish(end)
                    return end
        except Undecodable as error:
            raise Conflict(f"it is no line of an export: {error}") from error

    def _begin(self, log: Log) -> None:
        if self.log is not None:
            raise Conflict("a second export begins here: two files were put together")
        if log.format > FORMAT:
            raise Conflict(f"it has format {log.format}, this jobledger reads up to {FORMAT}: upgrade it")
        self.log = log
        self._expected = places(log.partitions)

    def _commit(self, one: Commit) -> tuple[Place, bytes]:
        if self.log is None or self.end is not None:
            raise Conflict("a commit outside of an export: the first line has to say which log it is, the last that it ends")
        place = one.log, one.partition
        if place != self._here:
            if next(self._expected, None) != place:
                raise Conflict(f"a commit of {place[0]}[{place[1]}], out of turn: commits are missing, or lines were moved")
            self._here, self.heads[place] = place, Head(*place)
        try:
            record = one.record()
        except NotBase64 as error:
            raise Conflict(f"its bytes are no base64: {error}") from error
        header = wire.decode_header(record)
        verdict = chain.judge(self.heads[place], header)
        if verdict != chain.ACCEPTED:
            why = verdict.detail if isinstance(verdict, chain.Broken) else f"seq {header.seq} comes twice"
            raise Conflict(f"the chain of {place[0]}[{place[1]}] is broken: {why}")
        if header.seq == 1:
            self._check_opening(place, record)
        self.heads[place] = chain.after(self.heads[place], header, chain.digest(record), one.offset)
        self.commits += 1
        return place, record

    def _check_opening(self, place: Place, record: bytes) -> None:
        first = next(iter(wire.decode_commit(record).events), None)
        log = self.log
        if log is None or first != outcome.Opened(log.log_id, log.partitions, log.epoch):
            raise Conflict(f"{place[0]}[{place[1]}] was not opened as what the first line says: {first!r}")

    def _finish(self, end: End) -> None:
        if self.end is not None:
            raise Conflict("it ends twice: two files were put together")
        if self.log is None or next(self._expected, None) is not None:
            raise Conflict("it ends before every partition was there: lines are missing")
        found = tuple(Ended(head.log, head.partition, head.seq, head.digest) for head in self.heads.values())
        if (end.commits, end.heads) != (self.commits, found):
            raise Conflict(
                f"it says that {end.commits} commits came before, with other ends than these {self.commits} have: lines are missing"
            )
        self.end = end

    def whole(self) -> tuple[Log, End]:
        """After the last line. Raises `Conflict` where there is no end."""
        if self.log is None or self.end is None:
            raise Conflict("it has no last line: the export was cut short, or did not end; export again")
        return self.log, self.end
