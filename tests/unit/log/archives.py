"""Exports in memory."""

from collections.abc import Mapping, Sequence

from ledger.core import archive, chain, wire
from ledger.core.archive import Place
from tests.unit.log.chains import LOG_ID


def archive_of(logs: Mapping[Place, Sequence[bytes]], *, log_id: str = LOG_ID, epoch: int = 1) -> list[bytes]:
    """The lines of an export of these records, which are the accepted ones of each partition."""
    partitions = len(logs) - 1
    lines = [archive.encode(archive.Log(archive.FORMAT, log_id, partitions, epoch, "2026-11-27T23:59:00Z"))]
    heads: list[archive.Ended] = []
    for place in archive.places(partitions):
        lines += [archive.encode_commit(place, offset, 0, record) for offset, record in enumerate(logs[place])]
        last = logs[place][-1]
        heads.append(archive.Ended(*place, wire.decode_header(last).seq, chain.digest(last)))
    lines.append(archive.encode(archive.End(len(lines) - 1, tuple(heads))))
    return lines
