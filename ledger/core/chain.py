"""The chain: what a commit is, and the one rule by which every reader accepts, skips or stops.

Source: architecture.md, section 4.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec import Struct, structs

from ledger.core.ids import BEFORE_ALL, NOWHERE, Address, Position

COMMIT_VERSION: Final = 1
GENESIS: Final = ""  # `prev` of the first commit


def digest(record: bytes) -> str:
    """The name of a commit's bytes: SHA-256 in hex, so that anybody can check a link with `sha256sum`."""
    return sha256(record).hexdigest()


class Header(Struct, frozen=True):
    """A commit without its events: enough to walk the chain. Unknown fields are ignored, the events are not parsed."""

    v: int
    log: str
    partition: int
    seq: int
    prev: str
    at: int
    position: Position
    registry: Address | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The commit follows the one accepted last."""


@dataclass(frozen=True, slots=True)
class Void:
    """A zombie's commit: it lost the race for its number and counts for no reader."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A commit that follows nobody; `detail` shows both values."""

    detail: str


Verdict = Accepted | Void | Broken
ACCEPTED: Final = Accepted()
VOID: Final = Void()


class Head(Struct, frozen=True):
    """The commit that a reader accepted last, and where reading goes on."""

    log: str
    partition: int
    seq: int = 0
    digest: str = GENESIS
    at: int = 0
    position: Position = NOWHERE
    registry: Address | None = None
    next_offset: int = 0


def judge(head: Head, commit: Header) -> Verdict:
    """Accept a commit if and only if its `seq` is the next and its `prev` the digest of what was accepted last."""
    if (commit.log, commit.partition) != (head.log, head.partition):
        return Broken(f"it belongs to {commit.log}[{commit.partition}], not to {head.log}[{head.partition}]")
    if commit.seq <= head.seq:
        return VOID
    if commit.seq != head.seq + 1:
        return Broken(f"expected seq {head.seq + 1}, found {commit.seq}: commits are missing")
    if commit.prev != head.digest:
        return Broken(f"seq {commit.seq} follows {commit.prev or 'nothing'}, but seq {head.seq} is {head.digest or 'nothing'}")
    went_back = [
        f"{name} {was} -> {now}"
        for name, was, now in (
            ("at", head.at, commit.at),
            ("position", head.position, commit.position),
            ("registry", head.registry or BEFORE_ALL, commit.registry or BEFORE_ALL),
        )
        if now < was  # type: ignore[operator]  # pairs of one type each
    ]
    if went_back:
        return Broken(f"seq {commit.seq} goes back: {', '.join(went_back)}")
    return ACCEPTED


def after(head: Head, commit: Header, record_digest: str, offset: int) -> Head:
    """The head once `commit` (read at `offset`) was accepted."""
    return Head(head.log, head.partition, commit.seq, record_digest, commit.at, commit.position, commit.registry, offset + 1)


def past_void(head: Head, offset: int) -> Head:
    """The head once the void at `offset` was skipped."""
    return structs.replace(head, next_offset=offset + 1)
