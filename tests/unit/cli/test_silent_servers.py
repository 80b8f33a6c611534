"""Servers that accept connections and never answer: one is asked while another is waited for, and none is waited for at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from ledger.cli.log import _verify
from ledger.config import Settings
from ledger.config.settings import Database, Kafka
from ledger.core.refusal import Unavailable
from projections.heads import heads_of_tables


@dataclass
class Silent:
    """A server. `gone`: a client that was connected waits no longer."""

    until: asyncio.Event = field(default_factory=asyncio.Event)  # from then on connections are closed
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[asyncio.StreamWriter] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken.append(writer)
        self.asked.set()
        leaving = asyncio.create_task(self._see_it_leave(reader))
        waiting = asyncio.create_task(self.until.wait())
        await asyncio.wait([leaving, waiting], return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        waiting.cancel()
        writer.close()

    async def _see_it_leave(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while await reader.read(4096):
                pass
        self.gone.set()


@asynccontextmanager
async def serving(silent: Silent) -> AsyncIterator[str]:
    server = await asyncio.start_server(silent.take, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        server.close()
        silent.until.set()
        for writer in silent.taken:
            with suppress(OSError):
                await writer.wait_closed()


async def test_verify_asks_the_tables_and_the_log_at_once() -> None:
    postgres, kafka = Silent(), Silent()
    postgres.until, kafka.until = kafka.asked, postgres.asked
    async with serving(postgres) as at, serving(kafka) as bootstrap:
        settings = Settings(kafka=Kafka(bootstrap=bootstrap), database=Database(url=SecretStr(f"postgresql://u@{at}/x")))
        with pytest.raises(Unavailable, match=bootstrap):
            await _verify(settings, None, None, lambda done, of: None, tables=True)
    assert not postgres.gone.is_set() and not kafka.gone.is_set()


async def test_a_connection_to_the_tables_that_is_being_opened_is_not_waited_for_at_the_end() -> None:
    postgres = Silent()
    async with serving(postgres) as at:
        database = Database(url=SecretStr(f"postgresql://u@{at}/x?connect_timeout=2"))  # more than what is waited for at the end
        asking = asyncio.create_task(heads_of_tables(Settings(database=database)))
        await postgres.asked.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert any("-worker-" in task.get_name() for task in asyncio.all_tasks()), "of the pool, still about to connect"
