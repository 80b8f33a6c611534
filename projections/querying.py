"""Runs statements on a bounded pool: in the schema of the settings, within a time, with an answer when Postgres is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from psycopg import AsyncConnection, DataError, OperationalError
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedColumn, UndefinedTable
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from ledger.config import Settings
from ledger.core import exact_json
from ledger.core.refusal import Refused, Unfit
from projections.connecting import conninfo_of, first_line, not_allowed, not_upgraded, unavailable

T = TypeVar("T")
Pool = AsyncConnectionPool[AsyncConnection[DictRow]]
CONNECTIONS: Final = 4
PATIENCE: Final = 6.0  # seconds for a connection
LAST_TRY: Final = 2.0  # seconds
CLOSING: Final = 1.0  # seconds for connections that are being opened: a server that never answers would have its whole time once more
STATEMENT_MS: Final = 30_000


class Queries:
    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
        self._schemas = {None: settings.database.table_schema}

    async def rows(self, query: Select[tuple[object, ...]], read: Callable[[DictRow], T]) -> list[T]:
        """Raises `Unavailable`, `Misconfigured` where there are no tables or this user may not read them, `Unfit` for a value that no
        column could hold: a NUL, half a surrogate pair, a number beyond the column's; `Refused` once the pool is closed."""
        compiled = query.compile(
            dialect=self._dialect,
            schema_translate_map=self._schemas,
            render_schema_translate=True,
            compile_kwargs={"render_postcompile": True},
        )
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(str(compiled).encode(), compiled.params)
                return [read(row) async for row in cursor]
        except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
            raise not_upgraded(self._settings) from error
        except InsufficientPrivilege as error:
            raise not_allowed(self._settings, error) from error
        except (DataError, UnicodeEncodeError) as error:
            raise Unfit("invalid_value", f"the tables cannot be asked for that: {first_line(error)}") from error
        except PoolClosed as error:
            raise Refused("closed", "this client was closed meanwhile: connect another one") from error
        except OperationalError as error:
            raise unavailable(self._settings, await self._reason(error)) from error

    async def _reason(self, error: OperationalError) -> OperationalError:
        """The pool says only that it has no connection: one that we ask for ourselves says why."""
        if isinstance(error, PoolTimeout):
            try:
                async with asyncio.timeout(LAST_TRY), await AsyncConnection.connect(conninfo_of(self._settings)):
                    pass
            except OperationalError as found:
                return found
            except TimeoutError:
                pass
        return error

    async def one(self, query: Select[tuple[object, ...]], read: Callable[[DictRow], T]) -> T | None:
        found = await self.rows(query.limit(1), read)
        return found[0] if found else None


@asynccontextmanager
async def open_queries(settings: Settings) -> AsyncIterator[Queries]:
    """For the time of the block. Connections are opened when they are first used."""

    async def configure(connection: AsyncConnection[DictRow]) -> None:
        set_json_loads(exact_json.loads, connection)
        await connection.execute(f"SET statement_timeout = {STATEMENT_MS}".encode())

    pool: Pool = AsyncConnectionPool(
        conninfo_of(settings),
        connection_class=AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row, "autocommit": True},
        configure=configure,
        min_size=0,
        max_size=CONNECTIONS,
        timeout=PATIENCE,
        reconnect_timeout=PATIENCE,
        open=False,
    )
    await pool.open()
    try:
        yield Queries(settings, pool)
    finally:
        await pool.close(CLOSING)
