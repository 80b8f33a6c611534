"""What a client asks Redis: signs of life, and who holds a place under a limit. Each question opens a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ledger.config import Settings
from ledger.core.limits import Limit
from ledger.core.refusal import Unavailable
from ledger.core.workers import About, decode_about

CALL: Final = 5.0  # seconds
AT_A_TIME: Final = 500
MOST_HOLDERS: Final = 20  # that are named


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands at the moment. `holders`: some of the executions that have a place; `next_us`: until the rate lets one start."""

    limit: Limit
    held: int = 0
    holders: tuple[str, ...] = ()
    next_us: int = 0

    @property
    def is_reached(self) -> bool:
        return self.next_us > 0 or (self.limit.concurrency is not None and self.held >= self.limit.concurrency)


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator["Redis"]:
    """For the time of the block, which raises `Unavailable` if Redis is away."""
    redis = Redis.from_url(
        settings.redis.url.get_secret_value(), socket_timeout=CALL, socket_connect_timeout=CALL, retry=Retry(NoBackoff(), 0)
    )
    try:
        yield redis
    except (RedisError, OSError) as error:
        place = redis.connection_pool.connection_kwargs
        where = f"{place.get('host', '?')}:{place.get('port', '?')}"
        raise Unavailable(f"Redis at {where} does not answer ({error}): is it running? `redis.url` says where it is") from error
    finally:
        await redis.aclose()


async def workers_alive(settings: Settings, redis: "Redis") -> dict[str, About]:
    prefix = settings.redis_key("worker", "")
    keys = [key async for key in redis.scan_iter(f"{prefix}*", count=1000)]
    found: dict[str, About] = {}
    for first in range(0, len(keys), AT_A_TIME):
        some = keys[first : first + AT_A_TIME]
        for key, value in zip(some, await redis.mget(some), strict=True):
            if isinstance(value, bytes):
                found[key.decode().removeprefix(prefix)] = decode_about(value)
    return found


async def limits_of(settings: Settings, redis: "Redis", queue: str, job_name: str, tenant: str | None) -> list[Limit]:
    """Those of the settings here, and that of the handler as a worker that lives has it."""
    of_job = (limit for about in (await workers_alive(settings, redis)).values() for limit in about.limits if limit.name == job_name)
    found = (settings.limit_of_queue(queue), next(of_job, None), None if tenant is None else settings.limit_of_tenant(tenant))
    return [limit for limit in found if limit is not None]


async def standing(settings: Settings, redis: "Redis", limit: Limit) -> Standing:
    seconds, micros = await redis.time()
    now = seconds * 1_000_000 + micros
    places = settings.redis_key("places", limit.key)
    held = await redis.zcount(places, now, "+inf")
    members = await redis.zrangebyscore(places, now, "+inf", start=0, num=MOST_HOLDERS)
    due = await redis.get(settings.redis_key("rate", limit.key)) if limit.rate is not None else None
    saved = 0 if limit.rate is None else limit.rate.saved_us
    next_us = 0 if due is None else int(due) - saved - now
    return Standing(limit, held, tuple(one.decode().rsplit(":", 1)[0] for one in members if isinstance(one, bytes)), max(0, next_us))
