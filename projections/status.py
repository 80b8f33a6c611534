"""Where the tables stand, and how far the log is."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from ledger.config import Settings
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import check_identity
from projections.folds import PROJECTION
from projections.patches import Source
from projections.places import sources
from projections.projection import NEXT, OLD
from projections.reads import open_reads
from projections.rows import PositionRow


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition of a log. `behind` counts records, voids and empty commits among them. `stopped_note`: why the projection stands
    still there, and what to do; `other_log`: the tables were folded from a log that is not the present one."""

    log: str
    partition: int
    seq: int
    offset: int
    end: int
    voids: int
    stopped_note: str | None
    other_log: str | None
    updated_at: datetime | None

    @property
    def behind(self) -> int:
        return max(0, self.end - self.offset - 1)


async def status(settings: Settings, projection: str = PROJECTION) -> list[Standing]:
    """Each partition of both logs. Raises `Unavailable`, `Misconfigured`, `Conflict`."""
    identity = await check_identity(settings)
    async with open_reads(settings) as reads:
        stored = {(row.log, row.log_partition): row for row in await reads.positions(projection)}
    wanted = sources(identity)
    ends = await asyncio.gather(*(_end(settings, source) for source in wanted))
    return [_standing(source, stored.get(source), end, identity.log_id) for source, end in zip(wanted, ends, strict=True)]


async def beside(settings: Settings, projection: str = PROJECTION) -> dict[str, int]:
    """The versions of the tables that stand beside the live ones, by suffix."""
    async with open_reads(settings) as reads:
        rows = {suffix: await reads.positions(projection + suffix) for suffix in (NEXT, OLD)}
    return {suffix: found[0].version for suffix, found in rows.items() if found}


async def _end(settings: Settings, source: Source) -> int:
    async with LogReader(settings, *source) as reader:
        return (await reader.bounds()).end


def _standing(source: Source, row: PositionRow | None, end: int, log_id: str) -> Standing:
    if row is None:
        return Standing(*source, 0, -1, end, 0, None, None, None)
    other = row.log_id if row.log_seq and row.log_id != log_id else None
    return Standing(*source, row.log_seq, row.log_offset, end, row.voids, row.stopped_note, other, row.updated_at)
