"""The read services of acts that go on in steps: bulk cancels, retries and redrives, and backfills."""

from psycopg.rows import DictRow
from sqlalchemy import BigInteger, Select, case, func, select, tuple_

from projections import schedule_tables as tables
from projections.cursors import cursor_of, read_cursor
from projections.filters import check_instant, checked
from projections.paging import instant_of, micros_of, page_of, with_address
from projections.querying import Queries
from projections.rows import Page
from projections.schedule_rows import Bulk, BulkAct, BulkFilter


class BulkReads:
    """Raises as `Reads` does, which has these methods too."""

    _queries: Queries

    async def bulk_acts(
        self, *, kind: str | None = None, going_on: bool | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[BulkAct]:
        """The newest first."""
        columns = tables.bulk_acts.c
        query = select(tables.bulk_acts)
        if kind is not None:
            query = query.where(columns.kind.in_(checked("kind", kind, tables.BULK_KINDS)))
        if going_on is not None:
            query = query.where(columns.finished_at.is_(None) == going_on)
        if cursor is not None:
            started, bulk_id, partition = read_cursor(cursor, "bulk_acts", int, str, int)
            key = tuple_(columns.started_at, columns.bulk_id, columns.log_partition)
            query = query.where(key < tuple_(instant_of(started), bulk_id, partition))
        query = query.order_by(columns.started_at.desc(), columns.bulk_id.desc(), columns.log_partition.desc())
        return await page_of(
            self._queries,
            query,
            limit,
            _bulk_act,
            lambda one: cursor_of("bulk_acts", micros_of(one.started_at), one.bulk_id, one.address.partition),
        )

    async def bulk_act(self, bulk_id: str) -> list[BulkAct]:
        """Its share in each partition that has one."""
        columns = tables.bulk_acts.c
        query = select(tables.bulk_acts).where(columns.bulk_id == bulk_id).order_by(columns.log_partition)
        return await self._queries.rows(query, _bulk_act)

    async def bulks(self, where: BulkFilter, *, cursor: str | None = None, limit: int = 50) -> Page[Bulk]:
        """Whole acts, over all of their partitions; the newest first."""
        began, bulk_id = func.min(tables.bulk_acts.c.started_at), tables.bulk_acts.c.bulk_id
        query = _bulks(where)
        if cursor is not None:
            started, after = read_cursor(cursor, "bulks", int, str)
            query = query.having(tuple_(began, bulk_id) < tuple_(instant_of(started), after))
        query = query.order_by(began.desc(), bulk_id.desc())
        return await page_of(
            self._queries, query, limit, lambda row: Bulk(**row), lambda one: cursor_of("bulks", micros_of(one.started_at), one.bulk_id)
        )


def _bulks(where: BulkFilter) -> "Select[tuple[object, ...]]":
    columns = tables.bulk_acts.c
    all_finished = func.count() == func.count(columns.finished_at)
    began = func.min(columns.started_at)
    query: Select[tuple[object, ...]] = select(
        columns.bulk_id,
        func.max(columns.kind).label("kind"),
        func.array_agg(columns.filter)[1].label("filter"),
        *(func.sum(columns[name]).cast(BigInteger).label(name) for name in ("planned", "done", "refused")),  # else Decimals
        func.max(columns.actor).label("actor"),
        func.max(columns.reason).label("reason"),
        case((all_finished, func.max(columns.outcome))).label("outcome"),
        began.label("started_at"),
        case((all_finished, func.max(columns.finished_at))).label("finished_at"),
        func.count().label("partitions"),
    ).group_by(columns.bulk_id)
    if where.kind is not None:
        query = query.where(columns.kind.in_(checked("kind", where.kind, tables.BULK_KINDS)))
    if where.actor is not None:  # of any share: another may have gone on with it where it had not begun
        query = query.having(func.bool_or(columns.actor == where.actor))
    if where.going_on is not None:
        query = query.having(all_finished if not where.going_on else ~all_finished)
    if where.from_ is not None:
        query = query.having(began >= check_instant("from_", where.from_))
    if where.to is not None:
        query = query.having(began < check_instant("to", where.to))
    return query


def _bulk_act(row: DictRow) -> BulkAct:
    return BulkAct(**with_address(row))
