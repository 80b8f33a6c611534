"""What `why` asks the tables: the ticks of a job in order, their executions, and who was in whose way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from psycopg.rows import DictRow
from sqlalchemy import ColumnElement, Select, func, or_, select

from projections import schedule_tables, tables
from projections.folds import PROJECTION
from projections.paging import with_address
from projections.querying import Queries
from projections.rows import Execution
from projections.schedule_rows import Tick

AT_A_TIME: Final = 1000
MOST_IN_THE_WAY: Final = 100


class WhyReads:
    """Raises as `Reads` does, which has these methods too. `end`: rows that events at this offset or behind wrote are left out, so that
    several questions see the tables of one moment (a row of a tick is written once)."""

    _queries: Queries

    async def ticks_from(self, job_id: str, from_: datetime, to: datetime, most: int, end: int) -> list[Tick]:
        """The oldest first; also the row of a range that begins before `from_` and reaches into it."""
        columns = schedule_tables.schedule_ticks.c
        where = (columns.job_id == job_id, columns.tick_at >= from_, columns.tick_at <= to, columns.log_offset < end)
        query = select(schedule_tables.schedule_ticks).where(*where)
        found = await self._queries.rows(query.order_by(columns.tick_at).limit(most), _tick)
        before = await self.tick_before(job_id, end, from_)
        return [before, *found] if before is not None and before.last_tick_at >= from_ else found

    async def tick_before(self, job_id: str, end: int, at: datetime | None = None) -> Tick | None:
        """The row of the last tick that is older; without `at` the newest of all."""
        columns = schedule_tables.schedule_ticks.c
        query = select(schedule_tables.schedule_ticks).where(columns.job_id == job_id, columns.log_offset < end)
        if at is not None:
            query = query.where(columns.tick_at < at)
        return await self._queries.one(query.order_by(columns.tick_at.desc()), _tick)

    async def fired(self, job_id: str, job_version: int, after: datetime, to: datetime | None, end: int) -> tuple[int, datetime | None]:
        """How many ticks of a version fired in (after, to], and the last of them."""
        columns = schedule_tables.schedule_ticks.c
        where = [columns.job_id == job_id, columns.job_version == job_version, columns.outcome == "fired", columns.tick_at > after]
        where.append(columns.log_offset < end)
        if to is not None:
            where.append(columns.tick_at <= to)
        last = await self._queries.one(select(func.max(columns.tick_at).label("last")).where(*where), lambda row: row["last"])
        return await self._count(where), last

    async def executions_by_id(self, ids: Sequence[str]) -> dict[str, Execution]:
        columns = tables.job_executions.c
        found: dict[str, Execution] = {}
        for first in range(0, len(ids), AT_A_TIME):
            query = select(tables.job_executions).where(columns.execution_id.in_(ids[first : first + AT_A_TIME]))
            found |= {one.execution_id: one for one in await self._queries.rows(query, _execution)}
        return found

    async def not_kept_before(self) -> datetime | None:
        """Executions that ended before this may be gone from the tables; None: all are there."""
        columns = tables.retention_horizons.c
        query = select(func.max(columns.purged_before).label("before")).where(columns.projection == PROJECTION)
        return await self._queries.one(query, lambda row: row["before"])

    async def holders(self, exclusive_key: str, from_: datetime, to: datetime) -> list[Execution]:
        """Executions with this key that had started before `to` and not ended at `from_`."""
        columns = tables.job_executions.c
        query = select(tables.job_executions).where(
            columns.exclusive_key == exclusive_key,
            columns.first_started_at < to,
            or_(columns.finished_at.is_(None), columns.finished_at > from_),
        )
        return await self._queries.rows(query.order_by(columns.first_started_at).limit(MOST_IN_THE_WAY), _execution)

    async def line(self, exclusive_key: str) -> list[Execution]:
        """Who holds this key now and who waits for it: the holder first, then the oldest; at most so many as one looks at."""
        columns = tables.job_executions.c
        begun = or_(columns.state != "delayed", columns.attempt > 0)
        query = select(tables.job_executions).where(columns.exclusive_key == exclusive_key, columns.finished_at.is_(None), begun)
        first = (columns.waiting_reason.is_not(None), columns.log_seq, columns.log_index)
        return await self._queries.rows(query.order_by(*first).limit(MOST_IN_THE_WAY), _execution)

    async def started_in(self, queue: str, from_: datetime, to: datetime) -> int:
        """How many executions of a queue made their first start in that time."""
        columns = tables.job_executions.c
        return await self._count(
            [columns.queue == queue, columns.first_started_at > from_, columns.first_started_at < to, columns.requested_at <= to]
        )

    async def running_in(self, queue: str) -> int:
        """How many executions of a queue run now."""
        columns = tables.job_executions.c
        return await self._count([columns.queue == queue, columns.state.in_(("active", "processing"))])

    async def _count(self, where: Sequence[ColumnElement[bool]]) -> int:
        query: Select[tuple[object, ...]] = select(func.count().label("many")).where(*where)  # type: ignore[assignment]  # of one int
        return await self._queries.one(query, _many) or 0


def _many(row: DictRow) -> int:
    return int(row["many"])


def _tick(row: DictRow) -> Tick:
    return Tick(**with_address(row))


def _execution(row: DictRow) -> Execution:
    return Execution(**with_address(row))
