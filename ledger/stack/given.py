"""Servers that are named by their address: they have to answer, and are used instead of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from ledger.stack.failure import ServerSilent
from ledger.stack.messages import ServerName
from ledger.stack.probes import kafka_answers, port_opens, postgres_answers, valkey_answers

PATIENCE = 5.0
Probe = Callable[[str, int], Awaitable[bool]]
Address = tuple[str, int]


@dataclass(frozen=True)
class Given:
    kafka: str | None = None
    redis: str | None = None
    database: str | None = None

    def missing(self) -> tuple[ServerName, ...]:
        """The servers we have to run ourselves."""
        known: tuple[tuple[ServerName, str | None], ...] = (("kafka", self.kafka), ("valkey", self.redis), ("postgres", self.database))
        return tuple(name for name, url in known if url is None)


def check_given(given: Given) -> None:
    """Raises `Unavailable` for the first that is silent. May be called where an event loop runs already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _check(given)).result()


async def _check(given: Given) -> None:
    if given.kafka:
        await _expect("Kafka", given.kafka, [_split(part, 9092) for part in given.kafka.split(",")], kafka_answers)
    if given.redis:
        probe = port_opens if given.redis.startswith("rediss:") else valkey_answers
        await _expect("Redis", _shown(given.redis), [_split(given.redis, 6379)], probe)
    if given.database:
        await _expect("Postgres", _shown(given.database), [_split(given.database, 5432)], postgres_answers)


async def _expect(name: str, shown: str, addresses: list[Address], probe: Probe) -> None:
    """Any of the addresses will do."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not any([await probe(host, port) for host, port in addresses]):  # noqa: ASYNC110  # a server elsewhere sends us no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise ServerSilent(
            f"{name} at {shown} does not answer (waited {PATIENCE:.0f} s). "
            "Start it or correct its address; without an address the stack runs its own."
        ) from None


def _split(address: str, default: int) -> Address:
    parts = urlsplit(address if "//" in address else f"//{address}")
    return parts.hostname or "127.0.0.1", parts.port or default


def _shown(url: str) -> str:
    """Without user and password."""
    host, port = _split(url, 0)
    return f"{host}:{port}" if port else host
