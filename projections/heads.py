"""What the tables remember of the ends of the log: the digest of the commit that each partition was folded to."""

from ledger.config import Settings
from ledger.kafka.blame import Vouched
from projections.reads import open_reads


async def heads_of_tables(settings: Settings) -> dict[tuple[str, int], Vouched]:
    """By (log, partition), of those that were folded at all. Raises `Unavailable`, `Misconfigured` where there are no tables."""
    async with open_reads(settings) as reads:
        rows = await reads.positions()
    return {(row.log, row.log_partition): Vouched(row.log_id, row.log_seq, row.digest) for row in rows if row.log_seq}
