"""Whether the servers that a worker needs answer, as `/readyz` tells it: its processes try again in place while one is away, and those that
have nothing to do do not notice. Source: architecture.md, section 8."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from redis.exceptions import RedisError

from ledger.config import Settings
from ledger.config.secrets import masked_address
from ledger.stack.given import brokers, host_and_port
from ledger.stack.probes import kafka_answers
from processors.runner.connections import connection_to

PATIENCE: Final = 1.0  # seconds for an answer
FRESH: Final = 1.0  # seconds for which what was seen holds, however many ask


class Servers(NamedTuple):
    """Those of one duty. `silent`: the addresses, without logins, that do not answer, and why where that is known."""

    name: str
    asked: int
    silent: tuple[str, ...]
    needed: int = 1

    @property
    def suffice(self) -> bool:
        return self.asked - len(self.silent) >= self.needed

    def __str__(self) -> str:
        if not self.silent:
            return "answers" if self.asked == 1 else f"all {self.asked} answer"
        of = f"; {self.asked - len(self.silent)} of {self.asked} answer" if self.asked > 1 else ""
        return f"no answer from {', '.join(self.silent)}{of}"


Look = Callable[[], Awaitable[Sequence[Servers]]]


def look_at(settings: Settings, ask: Callable[[Settings], Awaitable[Sequence[Servers]]] | None = None) -> Look:
    """Asks all of them at once, one look at a time. `ask`: those of a worker if nothing is said."""
    one_at_a_time = asyncio.Lock()
    seen: Sequence[Servers] = ()
    seen_at = -FRESH

    async def look() -> Sequence[Servers]:
        nonlocal seen, seen_at
        async with one_at_a_time:
            if time.monotonic() - seen_at >= FRESH:
                seen = await (ask or _of_a_worker)(settings)
                seen_at = time.monotonic()
            return seen

    return look


async def _of_a_worker(settings: Settings) -> Sequence[Servers]:
    locks = [url.get_secret_value() for url in settings.redis.lock_urls]
    kafka, of_redis, of_locks = await asyncio.gather(
        of_kafka(settings), _silent(_redis, [settings.redis.url.get_secret_value()]), _silent(_redis, locks)
    )
    found = [*kafka, Servers("redis", 1, of_redis)]
    return [*found, Servers("locks", len(locks), of_locks, len(locks) // 2 + 1)] if locks else found


async def of_kafka(settings: Settings) -> Sequence[Servers]:
    addresses = brokers(settings.kafka.bootstrap)
    return [Servers("kafka", len(addresses), await _silent(_broker, addresses))]


async def _silent(ask: Callable[[str], Awaitable[str | None]], addresses: Sequence[str]) -> tuple[str, ...]:
    return tuple(said for said in await asyncio.gather(*map(ask, addresses)) if said is not None)


async def _broker(address: str) -> str | None:
    return None if await kafka_answers(*host_and_port(address, 9092)) else address


async def _redis(url: str) -> str | None:
    client = connection_to(url, PATIENCE)
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return f"{masked_address(url)} ({type(error).__name__})"
    finally:
        with suppress(RedisError, OSError):
            await client.aclose()
    return None
