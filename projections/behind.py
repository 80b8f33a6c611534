"""SQL in a thread of its own, one act behind: what comes next is fetched and folded while Postgres works on the last."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from psycopg import Connection
from psycopg.rows import TupleRow

from projections.connecting import break_off

T = TypeVar("T")


class Behind:
    """For the time of a `with`. Acts are done one after the other; what one raises is raised by the next call here. They use `connection`:
    whoever is interrupted does not wait until Postgres is done, which may be held up by somebody's lock."""

    def __init__(self, name: str, connection: Connection[TupleRow]) -> None:
        self._connection = connection
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._doing: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and not issubclass(kind, Exception):
            break_off(self._connection)
        self._executor.shutdown(wait=True)

    async def start(self, act: Callable[[], None]) -> None:
        """Wait for the act before this one, and not for this one."""
        await self.done()
        self._doing = asyncio.get_running_loop().run_in_executor(self._executor, act)

    async def do(self, act: Callable[[], T]) -> T:
        await self.done()
        return await asyncio.get_running_loop().run_in_executor(self._executor, act)

    async def done(self) -> None:
        doing, self._doing = self._doing, None
        if doing is not None:
            await doing
