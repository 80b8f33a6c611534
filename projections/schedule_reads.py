"""The read services of schedules: ticks, the state of scheduled jobs, and pauses."""

from datetime import datetime
from typing import Final

from psycopg.rows import DictRow
from sqlalchemy import select, tuple_

from ledger.core.execution import TERMINAL
from projections import schedule_tables as tables
from projections.cursors import cursor_of, read_cursor
from projections.filters import check_instant, checked, tick_conditions
from projections.paging import instant_of, micros_of, page_of, with_address
from projections.querying import Queries
from projections.rows import Page
from projections.schedule_rows import JobStatus, Pause, Tick, TickFilter
from projections.tables import EXECUTION_STATES

EVERY_TICK: Final = TickFilter()
ENDS: Final = tuple(state for state in EXECUTION_STATES if state in TERMINAL)


class ScheduleReads:
    """Raises as `Reads` does, which has these methods too."""

    _queries: Queries

    async def ticks(self, where: TickFilter = EVERY_TICK, *, cursor: str | None = None, limit: int = 50) -> Page[Tick]:
        """The newest first, by their nominal time."""
        columns = tables.schedule_ticks.c
        query = select(tables.schedule_ticks).where(*tick_conditions(where))
        if cursor is not None:
            tick_at, job_id = read_cursor(cursor, "ticks", int, str)
            query = query.where(tuple_(columns.tick_at, columns.job_id) < tuple_(instant_of(tick_at), job_id))
        query = query.order_by(columns.tick_at.desc(), columns.job_id.desc())
        return await page_of(self._queries, query, limit, _tick, lambda one: cursor_of("ticks", micros_of(one.tick_at), one.job_id))

    async def tick(self, job_id: str, at: datetime) -> Tick | None:
        """The row that has the outcome of the tick of this nominal time, if there is such a tick."""
        columns = tables.schedule_ticks.c
        query = (
            select(tables.schedule_ticks)
            .where(columns.job_id == job_id, columns.tick_at <= check_instant("at", at))
            .order_by(columns.tick_at.desc())
        )
        found = await self._queries.one(query, _tick)
        return found if found is not None and at <= found.last_tick_at else None

    async def statuses(
        self,
        *,
        last_state: str | None = None,
        failing: bool | None = None,
        auto_paused: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[JobStatus]:
        """By job id. `failing`: it failed, timed out or was lost since it completed last."""
        columns = tables.job_status.c
        query = select(tables.job_status)
        if last_state is not None:
            query = query.where(columns.last_state.in_(checked("last state", last_state, ENDS)))
        if failing is not None:
            query = query.where((columns.consecutive_failures > 0) == failing)
        if auto_paused is not None:
            query = query.where(columns.auto_paused_note.is_not(None) == auto_paused)
        if cursor is not None:
            query = query.where(columns.job_id > read_cursor(cursor, "statuses", str)[0])
        query = query.order_by(columns.job_id)
        return await page_of(self._queries, query, limit, _status, lambda one: cursor_of("statuses", one.job_id))

    async def status(self, job_id: str) -> JobStatus | None:
        """None of a job that never had a schedule in force."""
        return await self._queries.one(select(tables.job_status).where(tables.job_status.c.job_id == job_id), _status)

    async def pauses(self, *, scope: str | None = None, cursor: str | None = None, limit: int = 50) -> Page[Pause]:
        """Those in force, by scope and name."""
        columns = tables.pauses.c
        query = select(tables.pauses)
        if scope is not None:
            query = query.where(columns.scope.in_(checked("scope", scope, tables.PAUSE_SCOPES)))
        if cursor is not None:
            after_scope, after = read_cursor(cursor, "pauses", str, str)
            query = query.where(tuple_(columns.scope, columns.name) > tuple_(after_scope, after))
        query = query.order_by(columns.scope, columns.name)
        return await page_of(self._queries, query, limit, _pause, lambda one: cursor_of("pauses", one.scope, one.name))

    async def pause(self, scope: str, name: str) -> Pause | None:
        columns = tables.pauses.c
        return await self._queries.one(select(tables.pauses).where(columns.scope == scope, columns.name == name), _pause)


def _tick(row: DictRow) -> Tick:
    return Tick(**with_address(row))


def _status(row: DictRow) -> JobStatus:
    return JobStatus(**with_address(row))


def _pause(row: DictRow) -> Pause:
    return Pause(**with_address(row))
