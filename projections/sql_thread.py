"""The writer in a thread of its own, so that the next batch is fetched and folded while Postgres works on this one.

A connection that is lost is opened again, for as long as it takes, and what was under way is done again: the position says whether it
had been done.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog
from psycopg import Connection, InterfaceError, OperationalError
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, ReadOnlySqlTransaction, UndefinedColumn, UndefinedTable
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core.refusal import Unavailable
from ledger.spread import spread
from projections.connecting import NEVER, break_off, connect, first_line, not_allowed, not_upgraded, unavailable
from projections.patches import Source
from projections.places import Opened
from projections.positions import Outcome, Position, Untaken
from projections.projection import Projection
from projections.tail import Stretch
from projections.writing import Writer

T = TypeVar("T")
log = structlog.get_logger(__name__)
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
AWAY: Final = (OperationalError, InterfaceError, ReadOnlySqlTransaction, Unavailable)  # a server that only reads is about to change


class SqlThread:
    """One call at a time; calls wait for Postgres, however long it is away. `away` says that it is, for `readyz`. When `connections` has
    risen, Postgres may have lost transactions that were not durable yet: positions have to be asked again."""

    def __init__(self, settings: Settings, projection: Projection) -> None:
        self.away: str | None = None
        self.connections = 0
        self._settings = settings
        self._projection = projection
        self._connection: Connection[TupleRow] | None = None
        self._writer: Writer | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="projection-sql")

    async def apply(self, stretches: Sequence[Stretch], *, durable: bool) -> dict[Source, Outcome]:
        """All together; where Postgres does not take a value, each by itself, so that only the stretch with that value is `Untaken`."""
        try:
            return await self._call(lambda writer: writer.apply(stretches, durable=durable))
        except NEVER as error:
            if len(stretches) == 1:
                (one,) = stretches
                return {one.source: Untaken(one.before.seq + 1, one.after.head.seq, first_line(error))}
        outcomes: dict[Source, Outcome] = {}
        for one in stretches:
            outcomes |= await self.apply([one], durable=durable)
        return outcomes

    async def open(self, sources: Sequence[Source]) -> list[Opened]:
        """Where the tables stand, and what a fold has to know that goes on there."""
        return await self._call(lambda writer: [Opened(source, *writer.open(source)) for source in sources])

    async def standing(self, sources: Sequence[Source]) -> dict[Source, Position | None]:
        """Where the tables stand, without waiting for whoever writes."""
        return await self._call(lambda writer: {source: writer.positions.read(writer.connection, source) for source in sources})

    async def stop_at(self, source: Source, note: str) -> None:
        """Note that the projection stands still at a source, and why."""
        await self._call(lambda writer: writer.positions.stop(writer.connection, source, note))

    async def close(self, patience: float) -> None:
        """Waits for the call that is under way, which may be held up by somebody's lock: after `patience` seconds it is broken off."""
        disconnecting = asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown(wait=False)
        if not (await asyncio.wait({disconnecting}, timeout=patience))[0] and (connection := self._connection) is not None:
            await asyncio.to_thread(break_off, connection)
            await asyncio.wait({disconnecting}, timeout=patience)

    async def _call(self, act: Callable[[Writer], T]) -> T:
        pause = FIRST_PAUSE
        while True:
            try:
                result = await asyncio.get_running_loop().run_in_executor(self._executor, self._act, act)
                self.away = None
                return result
            except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
                raise not_upgraded(self._settings) from error
            except InsufficientPrivilege as error:
                raise not_allowed(self._settings, error) from error
            except NEVER:  # some of them are operational errors
                raise
            except AWAY as error:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
                self.away = str(error if isinstance(error, Unavailable) else unavailable(self._settings, error))
                log.warning("waiting for Postgres", action="projection.sql_away", detail=self.away, pause=pause)
                await asyncio.sleep(spread(pause))
                pause = min(2 * pause, LONGEST_PAUSE)

    def _act(self, act: Callable[[Writer], T]) -> T:
        if self._connection is None:
            self._connection = connect(self._settings)
        if self._writer is None:
            self._writer = Writer(self._connection, self._settings.database.table_schema, self._projection)
            self.connections += 1
        return act(self._writer)

    def _disconnect(self) -> None:
        connection, self._connection, self._writer = self._connection, None, None
        if connection is not None:
            connection.close()
