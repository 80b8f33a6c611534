"""What the snapshots of both kinds of folds share: chunks of plain bytes, and a final record that validates them.

Anything that does not fit is ignored and the log is folded from the start. Source: architecture.md, section 5.9.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeVar

from msgspec import DecodeError, Struct, json, structs

from ledger.core.chain import Head
from ledger.core.fold import LogFold
from ledger.core.ids import Micros

FOLD_VERSION: Final = 13  # another fold of the same events needs another number; older snapshots are ignored then
BYTES_PER_CHUNK: Final = 700 * 1024  # unless one entry takes more
ENTRIES_PER_CHUNK: Final = 4000  # others work in between

T = TypeVar("T")


class Seal(Struct, frozen=True):
    """Written last: says which chunks belong together, and of what they are the state."""

    fold_version: int
    log_id: str
    partitions: int
    epoch: int
    head: Head
    newest_append: Micros
    chunks: int
    digest: str
    reckons_with: tuple[int, str | None] | None = None


_final: Final = json.Decoder(Seal)
_encode: Final = json.Encoder().encode


def seal_of(fold: LogFold, newest_append: Micros = Micros(0), reckons_with: tuple[int, str | None] | None = None) -> Seal:
    """Of a fold as it is now, before it is known what its chunks are."""
    return Seal(FOLD_VERSION, fold.log_id or "", fold.partitions, fold.epoch, fold.head, newest_append, 0, "", reckons_with)


class Frozen(ABC):
    """The state of a fold at one commit; the fold may go on meanwhile. Values are frozen, so copies of the indexes are enough."""

    seal: Seal

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """The encoded chunks, one at a time, so that who writes them can let others work in between."""

    def final(self, chunks: int, digest: str) -> bytes:
        return _encode(structs.replace(self.seal, chunks=chunks, digest=digest))


def digest_of(chunks: Sequence[bytes]) -> str:
    """The digest over the digests, so that it can be built chunk by chunk."""
    return sha256(b"".join(sha256(chunk).digest() for chunk in chunks)).hexdigest()


def read_final(record: bytes) -> Seal | None:
    """The final record, if it is one of ours and of this fold."""
    try:
        final = _final.decode(record)
    except DecodeError:
        return None
    return final if final.fold_version == FOLD_VERSION else None


def read_all(fold: LogFold, seal: Seal, chunks: Mapping[int, bytes], read: Callable[[bytes], T]) -> list[T] | None:
    """The chunks in order, each read for itself; None unless all are there, are what was sealed, and are of this partition."""
    ordered = [chunks[number] for number in range(seal.chunks) if number in chunks]
    if len(ordered) != seal.chunks or digest_of(ordered) != seal.digest:
        return None
    if (seal.head.log, seal.head.partition) != (fold.head.log, fold.head.partition):
        return None
    try:
        return [read(chunk) for chunk in ordered]
    except DecodeError:
        return None


def take_up(fold: LogFold, seal: Seal) -> None:
    """The place in the log where the snapshot was made."""
    fold.head, fold.log_id, fold.partitions, fold.epoch = seal.head, seal.log_id, seal.partitions, seal.epoch


def chunks_of(field: str, entries: Iterable[object]) -> Iterator[bytes]:
    """Chunks that hold these entries in a list."""
    return join(field, b"[%b]", map(_encode, entries))


def chunks_of_named(field: str, entries: Iterable[tuple[str, object]]) -> Iterator[bytes]:
    """The same in an object, each under its name."""
    return join(field, b"{%b}", (b"%b:%b" % (_encode(name), _encode(entry)) for name, entry in entries))


def join(field: str, around: bytes, encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Cut by what the entries take, as they are: a chunk that the topic does not take is a snapshot that is never written."""
    some: list[bytes] = []
    size = 0
    for entry in encoded:
        if some and (size + len(entry) > BYTES_PER_CHUNK or len(some) >= ENTRIES_PER_CHUNK):
            yield _chunk_of(field, around, some)
            some, size = [], 0
        some.append(entry)
        size += len(entry) + 1
    if some:
        yield _chunk_of(field, around, some)


def _chunk_of(field: str, around: bytes, some: list[bytes]) -> bytes:
    return b'{"%b":%b}' % (field.encode(), around % b",".join(some))
