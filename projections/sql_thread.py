"""The writer in a thread of its own, so that the next batch is fetched and folded while Postgres works on this one.

A connection that is lost is opened again, for as long as it takes, and what was under way is done again: the position says whether it
had been done.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog
from psycopg import InterfaceError, OperationalError
from psycopg.errors import InvalidSchemaName, UndefinedColumn, UndefinedTable

from ledger.config import Settings
from ledger.core.refusal import Unavailable
from projections.connecting import connect, not_upgraded, unavailable
from projections.places import Opened
from projections.positions import Outcome, Position
from projections.projection import Projection
from projections.tail import Source, Stretch
from projections.writing import Writer

T = TypeVar("T")
log = structlog.get_logger(__name__)
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


class SqlThread:
    """One call at a time; calls wait for Postgres, however long it is away. `away` says that it is, for `readyz`. When `connections` has
    risen, Postgres may have lost transactions that were not durable yet: positions have to be asked again."""

    def __init__(self, settings: Settings, projection: Projection) -> None:
        self.away: str | None = None
        self.connections = 0
        self._settings = settings
        self._projection = projection
        self._writer: Writer | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="projection-sql")

    async def apply(self, stretches: Sequence[Stretch], *, durable: bool) -> dict[Source, Outcome]:
        return await self._call(lambda writer: writer.apply(stretches, durable=durable))

    async def open(self, sources: Sequence[Source]) -> list[Opened]:
        """Where the tables stand, and what a fold has to know that goes on there."""
        return await self._call(lambda writer: [Opened(source, *writer.open(source)) for source in sources])

    async def standing(self, sources: Sequence[Source]) -> dict[Source, Position | None]:
        """Where the tables stand, without waiting for whoever writes."""
        return await self._call(lambda writer: {source: writer.positions.read(writer.connection, source) for source in sources})

    async def stop_at(self, source: Source, note: str) -> None:
        """Note that the projection stands still at a source, and why."""
        await self._call(lambda writer: writer.positions.stop(writer.connection, source, note))

    async def close(self) -> None:
        """Waits for the call that is under way."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
        self._executor.shutdown(wait=False)

    async def _call(self, act: Callable[[Writer], T]) -> T:
        pause = FIRST_PAUSE
        while True:
            try:
                result = await asyncio.get_running_loop().run_in_executor(self._executor, self._act, act)
                self.away = None
                return result
            except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
                raise not_upgraded(self._settings) from error
            except (OperationalError, InterfaceError, Unavailable) as error:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._disconnect)
                self.away = str(error if isinstance(error, Unavailable) else unavailable(self._settings, error))
                log.warning("waiting for Postgres", action="projection.sql_away", detail=self.away, pause=pause)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret: it spreads those who wait
                pause = min(2 * pause, LONGEST_PAUSE)

    def _act(self, act: Callable[[Writer], T]) -> T:
        if self._writer is None:
            connection = connect(self._settings)
            try:
                self._writer = Writer(connection, self._settings.database.table_schema, self._projection)
            except BaseException:
                connection.close()
                raise
            self.connections += 1
        return act(self._writer)

    def _disconnect(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.connection.close()
