"""Which record was altered, where a walk only sees that two of them do not fit. Pure.

A link has two ends: the record that stands behind both tells which one is good. Where there is none, at the end of a partition, the tables
may: their positions hold the digest of the commit that they were folded to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.core import chain, wire
from ledger.core.chain import Header
from ledger.core.refusal import ChainBroken, Undecodable
from ledger.kafka.log_reader import AcceptedCommit, Record


@dataclass(frozen=True, slots=True)
class Vouched:
    """A commit that is remembered outside of the log."""

    log_id: str
    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a walk broke: the commit accepted last, the voids after it, the record that does not fit, and the one that `is_next`."""

    last: AcceptedCommit | None
    voids: Sequence[Record]
    here: Record | None
    behind: Record | None


def blame(broken: ChainBroken, around: Surroundings, vouched: Vouched | None = None) -> tuple[int, str]:
    """The offset of the record that was altered, as far as it can be told, and why we think so."""
    last, here = around.last, _header(around.here)
    seq, digest = (0, chain.GENESIS) if last is None else (last.header.seq, last.digest)
    for void in around.voids:
        header = _header(void)
        if header is not None and header.prev == digest:  # no loser of a race follows the commit that won
            return void.offset, (
                f"it says seq {header.seq}, but follows seq {seq}: its number was altered, "
                f"and the commit at offset {broken.offset} misses it"
            )
    if last is None or here is None or around.here is None or here.seq != seq + 1 or here.prev == digest:
        return broken.offset, broken.detail
    fits, behind = chain.digest(around.here.value or b""), _header(around.behind)
    if behind is not None and behind.prev == fits:
        return last.offset, _altered(last, broken, here, "the commit behind that fits")
    if vouched is not None and (vouched.seq, vouched.digest) == (here.seq, fits):
        return last.offset, _altered(last, broken, here, "the tables were folded from that one")
    return broken.offset, broken.detail


def is_next(here: Record | None, record: Record) -> bool:
    """By its number: what a loser of a race left between the two is void."""
    one, two = _header(here), _header(record)
    return one is not None and two is not None and two.seq == one.seq + 1


def _header(record: Record | None) -> Header | None:
    try:
        return None if record is None else wire.decode_header(record.value)
    except Undecodable:
        return None


def _altered(last: AcceptedCommit, broken: ChainBroken, here: Header, why: str) -> str:
    return (
        f"seq {last.header.seq} was altered, or what begins at offset {broken.offset} is another log's: its digest is {last.digest}, "
        f"but seq {here.seq} at offset {broken.offset} follows {here.prev}, and {why}"
    )
