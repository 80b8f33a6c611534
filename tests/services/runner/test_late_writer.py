"""What `docs/exclusivity.md` shows is true: a database refuses a writer whose token is old, and one that comes at the same moment."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from psycopg import AsyncConnection, sql

from ledger import UnrecoverableError
from ledger.config import Settings
from ledger.context import Context
from ledger.core.ids import Token
from tests.unit.runner.runner_fakes import offer

PAGE = Path("docs/exclusivity.md").read_text()
TABLE, FENCE = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
DECLARED, WRITER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
Writer = Callable[[dict[str, str], Context], Awaitable[None]]
Connect = Callable[[], Awaitable[AsyncConnection]]


@pytest.fixture
async def connect(settings: Settings) -> AsyncIterator[Connect]:
    """Connections to a user's database: a schema of its own, with an account and the fences."""
    opened: list[AsyncConnection] = []
    schema = sql.Identifier(settings.database.table_schema)

    async def connect() -> AsyncConnection:
        connection = await AsyncConnection.connect(settings.database.url.get_secret_value(), autocommit=True)
        opened.append(connection)
        await connection.execute(sql.SQL("SET search_path = {}").format(schema))
        return connection

    first = await connect()
    await first.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    await first.execute(TABLE)
    await first.execute("CREATE TABLE accounts AS SELECT 'a' AS account, 0 AS bookings")
    yield connect
    for one in opened:
        await one.close()


@pytest.fixture
def write(connect: Connect) -> Writer:
    """The page's handler, as it stands there."""

    class Connections:
        @staticmethod
        async def connect(_: str) -> AsyncConnection:
            return await connect()

    names: dict[str, object] = {"FENCE": FENCE, "DATABASE": "", "Context": Context}
    exec(WRITER, names)
    names["AsyncConnection"] = Connections
    writer = names["post_booking"]
    assert callable(writer)
    return writer


def under(token: int) -> Context:
    return Context(offer(token - 512))


async def bookings(connect: Connect) -> int:
    row = await (await (await connect()).execute("SELECT bookings FROM accounts")).fetchone()
    assert row is not None
    return int(row[0])


async def somebody_waits_for(one: AsyncConnection, looking: AsyncConnection) -> None:
    query = "SELECT FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    async with asyncio.timeout(10):
        while await (await looking.execute(query, [one.info.backend_pid])).fetchone() is None:  # noqa: ASYNC110  # it stands on the server
            await asyncio.sleep(0.01)


async def test_a_writer_with_an_older_token_is_refused_and_one_with_the_same_or_a_newer_is_not(connect: Connect, write: Writer) -> None:
    for token in (520, 520, 600):
        await write({"account": "a"}, under(token))
    with pytest.raises(UnrecoverableError, match="a: a later attempt than 520 has written"):
        await write({"account": "a"}, under(520))
    await write({"account": "other"}, under(513))
    assert await bookings(connect) == 3


async def test_of_two_at_once_the_older_waits_and_is_refused(connect: Connect, write: Writer) -> None:
    newer, looking = await connect(), await connect()
    async with newer.transaction():
        assert await (await newer.execute(FENCE, {"key": "a", "token": Token(600)})).fetchone() == (600,)
        late = asyncio.create_task(write({"account": "a"}, under(520)))
        await somebody_waits_for(newer, looking)
        assert not late.done()
    with pytest.raises(UnrecoverableError):
        await late
    assert await bookings(connect) == 0


async def test_what_was_begun_before_a_newer_one_is_committed_before_it(connect: Connect, write: Writer) -> None:
    """The older one has passed the fence and is frozen: the newer one waits for its end, and is then the last to write."""
    older, looking = await connect(), await connect()
    async with older.transaction():
        await older.execute(FENCE, {"key": "a", "token": 520})
        newer = asyncio.create_task(write({"account": "a"}, under(600)))
        await somebody_waits_for(older, looking)
        await older.execute("UPDATE accounts SET bookings = 100")
    await newer
    assert await bookings(connect) == 101


def test_the_declaration_is_one() -> None:
    names: dict[str, object] = {}
    exec(DECLARED, names)
    assert "post_booking" in names
