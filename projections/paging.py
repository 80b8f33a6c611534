"""What all read services share: pages by keyset, and rows as frozen objects."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from psycopg.rows import DictRow
from sqlalchemy import Select

from ledger.core.refusal import Unfit
from projections.cursors import check_limit
from projections.querying import Queries
from projections.rows import Address, Page

T = TypeVar("T")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def page_of(
    queries: Queries, query: "Select[tuple[object, ...]]", limit: int, read: Callable[[DictRow], T], cursor: Callable[[T], str]
) -> Page[T]:
    """`query` is in the order of the cursor's key and begins behind it. Raises `Refused` for a limit that cannot be."""
    items = await queries.rows(query.limit(check_limit(limit) + 1), read)
    return Page(tuple(items[:limit]), cursor(items[limit - 1]) if len(items) > limit else None)


def instant_of(micros: object) -> datetime:
    """Of a cursor. Raises `Unfit` for one beyond all instants: we gave no such cursor."""
    assert isinstance(micros, int)
    try:
        return EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise Unfit("invalid_cursor", "the cursor is none of this list (no instant): use `next` of the page before, unchanged") from None


def micros_of(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def with_address(row: DictRow) -> DictRow:
    partition, seq, index, offset = (row.pop(name) for name in ("log_partition", "log_seq", "log_index", "log_offset"))
    return {**row, "address": Address(partition, seq, index, offset)}
