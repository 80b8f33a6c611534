"""What waits and runs per queue, tenant and exclusivity key, and which of them are held."""

from typing import Final

from psycopg.rows import DictRow
from sqlalchemy import func, select

from ledger.core.pause import PauseScope
from projections.cursors import cursor_of, read_cursor
from projections.paging import page_of
from projections.querying import Queries
from projections.rows import Load, Page
from projections.schedule_tables import pauses
from projections.tables import job_executions

_COLUMNS: Final = {
    "job": job_executions.c.job_id,
    "queue": job_executions.c.queue,
    "tenant": job_executions.c.tenant,
    "key": job_executions.c.exclusive_key,
}


class LoadReads:
    """Raises as `Reads` does, which has this method too."""

    _queries: Queries

    async def loads(self, scope: PauseScope, *, cursor: str | None = None, limit: int = 50) -> Page[Load]:
        """Those with executions that have not ended, and those that are paused; by name. It reads all that has not ended."""
        name, state = _COLUMNS[scope], job_executions.c.state
        live = (
            select(
                name.label("name"),
                func.count().filter(state == "waiting").label("waiting"),
                func.count().filter(state == "delayed").label("delayed"),
                func.count().filter(state.in_(("active", "processing"))).label("active"),
                func.min(job_executions.c.eligible_at).filter(state == "waiting").label("waits_since"),
            )
            .where(job_executions.c.finished_at.is_(None), name.is_not(None))
            .group_by(name)
            .subquery()
        )
        held = select(pauses.c.name, pauses.c.note, pauses.c.actor, pauses.c.since).where(pauses.c.scope == scope).subquery()
        named = func.coalesce(live.c.name, held.c.name)
        counts = (func.coalesce(column, 0).label(column.name) for column in (live.c.waiting, live.c.delayed, live.c.active))
        query = select(
            named.label("name"),
            *counts,
            live.c.waits_since,
            held.c.name.is_not(None).label("paused"),
            held.c.note,
            held.c.actor,
            held.c.since,
        ).select_from(live.join(held, live.c.name == held.c.name, full=True))
        kind = f"loads.{scope}"
        if cursor is not None:
            query = query.where(named > read_cursor(cursor, kind, str)[0])
        return await page_of(self._queries, query.order_by(named), limit, _load, lambda one: cursor_of(kind, one.name))


def _load(row: DictRow) -> Load:
    return Load(**row)
