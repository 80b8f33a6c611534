"""Places under limits, in Redis: a sorted set for each limit, whose members say until when they count, by Redis' own clock."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import redis
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
MOST_AT_ONCE: Final = 500

RENEW: Final = """
local time = redis.call('TIME')
local until_us = time[1] * 1000000 + time[2] + ARGV[1] * 1000
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, until_us, ARGV[1 + i])
  redis.call('PEXPIRE', key, ARGV[1])
end
return ''
"""
LET_GO: Final = """
for i, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[i]) end
return ''
"""

Places = Sequence[tuple[str, str]]  # (key of the sorted set, member)


class Holders(Protocol):
    async def let_go(self, places: Places) -> None:
        """Best effort: else they run out."""


class Renewals(Protocol):
    """The same places from a thread; blocks."""

    def renew(self, places: Places) -> bool:
        """False: not all were."""

    def let_go_again(self, places: Places) -> None: ...


class RedisHolders:
    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def let_go(self, places: Places) -> None:
        try:
            for keys, names in _portions(places):
                await self._redis.eval(LET_GO, len(keys), *keys, *names)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("places under limits were left to run out", action="limits.left", count=len(places), error=repr(error))


class BlockingHolders:
    def __init__(self, redis: "redis.Redis", lease: float) -> None:
        self._redis = redis
        self._life_ms = round(lease * 1000)

    def renew(self, places: Places) -> bool:
        try:
            for keys, names in _portions(places):
                self._redis.eval(RENEW, len(keys), *keys, self._life_ms, *names)
        except (RedisError, OSError) as error:
            log.warning("places under limits were not renewed", action="limits.not_renewed", count=len(places), error=repr(error))
            return False
        return True

    def let_go_again(self, places: Places) -> None:
        try:
            for keys, names in _portions(places):
                self._redis.eval(LET_GO, len(keys), *keys, *names)
        except (RedisError, OSError):
            pass  # they run out


def _portions(places: Places) -> Iterable[tuple[list[str], list[str]]]:
    """Keys and members, for one round trip each."""
    for start in range(0, len(places), MOST_AT_ONCE):
        portion = places[start : start + MOST_AT_ONCE]
        yield [key for key, _ in portion], [name for _, name in portion]


class NoHolders:
    """Where nothing is limited."""

    async def let_go(self, places: Places) -> None:
        pass

    def renew(self, places: Places) -> bool:
        return True

    def let_go_again(self, places: Places) -> None:
        pass
