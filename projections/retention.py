"""How long rows of ended executions stay, by state. The log keeps everything; what is removed from the tables is only not in them.

A *horizon* says, of a state, that executions which ended before it may be gone. It moves in the transaction that removes them and never
goes back, so whoever compares the tables with the log knows what may be missing. A rebuild has horizons of its own, from its beginning.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier

from ledger.config import Settings
from ledger.core.durations import parse_duration_ms
from ledger.core.refusal import Unavailable
from projections.connecting import connect, first_line
from projections.folds import PROJECTION
from projections.forms import ATTEMPTS, EXECUTIONS
from projections.patches import Changes, Form

log = structlog.get_logger(__name__)
MOST: Final = 2000  # executions removed in one transaction
PAUSE: Final = 30.0  # seconds between looks

Horizons = Mapping[str, int]  # state -> microseconds
_STATE, _FINISHED = map(EXECUTIONS.columns.index, ("state", "finished_at"))


def keep_ms(settings: Settings) -> dict[str, int]:
    """By state; what is not there is kept for ever."""
    said = settings.keep.model_dump(exclude_none=True)
    return {state: parse_duration_ms(duration) for state, duration in said.items()}


class Retention:
    """The horizons of one set of tables, `projection` with its suffix."""

    def __init__(self, schema: str, projection: str) -> None:
        self._schema = schema
        self._projection = projection
        self._horizons = Identifier(schema, "retention_horizons")

    def read(self, connection: Connection[TupleRow]) -> Horizons:
        query = SQL("SELECT state, (extract(epoch FROM purged_before) * 1000000)::bigint FROM {} WHERE projection = %s")
        return {str(state): int(at) for state, at in connection.execute(query.format(self._horizons), (self._projection,))}

    def advance(self, connection: Connection[TupleRow], keep: Mapping[str, int]) -> Horizons:
        """To what is to be kept from now on."""
        query = SQL(
            "INSERT INTO {0} AS h VALUES (%s, %s, now() - %s * interval '1 millisecond') ON CONFLICT (projection, state)"
            " DO UPDATE SET purged_before = greatest(h.purged_before, EXCLUDED.purged_before)"
        ).format(self._horizons)
        for state, ms in keep.items():
            connection.execute(query, (self._projection, state, ms))
        return self.read(connection)

    def forget(self, connection: Connection[TupleRow]) -> None:
        connection.execute(SQL("DELETE FROM {} WHERE projection = %s").format(self._horizons), (self._projection,))

    def rename(self, connection: Connection[TupleRow], projection: str) -> None:
        query = SQL("UPDATE {} SET projection = %s WHERE projection = %s").format(self._horizons)
        connection.execute(query, (projection, self._projection))

    def purge(self, connection: Connection[TupleRow], keep: Mapping[str, int], most: int = MOST) -> int:
        """Remove at most so many executions, with their attempts; how many were."""
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '2s'")
            removed = list[TupleRow]()
            for state, before in self.advance(connection, keep).items():
                if state in keep and len(removed) < most:
                    removed += connection.execute(self._remove(before), (state, most - len(removed))).fetchall()
            attempts = SQL("DELETE FROM {} WHERE execution_id = ANY(%s)").format(Identifier(self._schema, ATTEMPTS.table))
            connection.execute(attempts, ([execution_id for (execution_id,) in removed],))
        return len(removed)

    def _remove(self, before: int) -> Composed:
        """Those that ended first; what somebody else is about to remove is left to him."""
        return SQL(
            "DELETE FROM {0} WHERE execution_id = ANY(ARRAY(SELECT execution_id FROM {0} WHERE state = %s AND finished_at < {1}"
            " ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING execution_id"
        ).format(Identifier(self._schema, EXECUTIONS.table), _instant(before))


def kept(changes: Changes, horizons: Horizons) -> Changes:
    """Without executions that ended before their horizon, and their attempts: they are not written anew."""
    gone = {key for key, row in changes.executions.items() if _ended_at(row[_FINISHED]) < horizons.get(str(row[_STATE]), 0)}
    for key in gone:
        del changes.executions[key]
    for attempt in [key for key in changes.attempts if key[0] in gone]:
        del changes.attempts[attempt]
    return changes


def _ended_at(value: object) -> int:
    return value if isinstance(value, int) else 1 << 62


def may_be_missing(form: Form, horizons: Horizons, executions: Identifier) -> Composed | None:
    """The condition for a row `s` of the fold that need not be in the tables; None where all have to be. An attempt goes with its
    execution, which is judged itself; one from before that was asked for is of a former life with the same id, and went with that."""
    if not horizons or form not in (EXECUTIONS, ATTEMPTS):
        return None
    if form == ATTEMPTS:
        return SQL("NOT EXISTS (SELECT FROM {} AS e WHERE e.execution_id = s.execution_id AND e.requested_offset <= s.log_offset)").format(
            executions
        )
    before = [SQL("(s.state = {} AND s.finished_at < {})").format(state, _instant(at)) for state, at in horizons.items()]
    return SQL("({})").format(SQL(" OR ").join(before))


def _instant(micros: int) -> Composed:
    return SQL("(to_timestamp(0) + {} * interval '1 microsecond')").format(micros)


async def purge_on_and_on(settings: Settings, stop: asyncio.Event) -> None:
    """Until `stop`, on a connection of its own: who folds does not wait for it. Whatever Postgres says (away, tables that are just swapped,
    no right to delete): later."""
    keep = keep_ms(settings)
    while keep and not stop.is_set():
        try:
            removed = await asyncio.to_thread(_purge_all, settings, keep, stop)
            if removed:
                log.info("rows past their time were removed", action="projection.purged", executions=removed)
        except (psycopg.Error, Unavailable) as error:
            log.warning("rows past their time stay for now", action="projection.not_purged", detail=first_line(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PAUSE)


def _purge_all(settings: Settings, keep: Mapping[str, int], stop: asyncio.Event) -> int:
    retention, total = Retention(settings.database.table_schema, PROJECTION), 0
    with connect(settings) as connection:
        while not stop.is_set():
            removed = retention.purge(connection, keep)
            total += removed
            if removed < MOST:
                break
    return total
