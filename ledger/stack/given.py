"""Servers that are named by their address: they have to answer, and are used instead of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from ledger.stack.failure import ServerSilent
from ledger.stack.messages import ServerName
from ledger.stack.probes import kafka_answers, port_opens, postgres_answers, valkey_answers

PATIENCE = 3.0
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


def check_given(given: Given, patience: float = PATIENCE) -> None:
    """Raises `Unavailable` for the first that is silent. May be called where an event loop runs already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _check(given, patience)).result()


async def _check(given: Given, patience: float) -> None:
    if given.kafka:
        await _expect("Kafka", given.kafka, [host_and_port(part, 9092) for part in brokers(given.kafka)], kafka_answers, patience)
    if given.redis:
        probe = port_opens if given.redis.startswith("rediss:") else valkey_answers
        await _expect("Redis", shown(given.redis), [host_and_port(given.redis, 6379)], probe, patience)
    if given.database:
        await _expect("Postgres", shown(given.database), [host_and_port(given.database, 5432)], postgres_answers, patience)


async def _expect(name: str, address: str, addresses: list[Address], probe: Probe, patience: float) -> None:
    """Any of the addresses will do."""
    try:
        async with asyncio.timeout(patience):
            while not any([await probe(host, port) for host, port in addresses]):  # noqa: ASYNC110  # a server elsewhere sends us no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise ServerSilent(
            f"{name} at {address} does not answer (waited {patience:.0f} s). "
            "Start it or correct its address; without an address the stack runs its own."
        ) from None


def brokers(bootstrap: str) -> list[str]:
    """The addresses among the commas, of which one may stand behind the last."""
    return [address for part in bootstrap.split(",") if (address := part.strip())]


def host_and_port(address: str, default: int) -> Address:
    """Of an address with or without a scheme and a login; `default`: the port where none is named, as of a bare IPv6 address."""
    with suppress(ValueError):
        return str(IPv6Address(address)), default
    parts = urlsplit(address if "//" in address else f"//{address}")
    return parts.hostname or "127.0.0.1", parts.port or default


def shown(url: str) -> str:
    """Without user and password."""
    host, port = host_and_port(url, 0)
    return f"{host}:{port}" if port else host
