"""The Redis servers that keep the locks: the one of leases and claims, or those that `redis.lock_urls` names."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from ledger.config import Settings
from processors.runner.connections import blocking_connection_to, connection_to
from processors.runner.locks import BlockingLocks, RedisLocks

CALLS_IN_A_LEASE: Final = 20  # how quickly one of several servers has to answer, so that one that does not leaves time for the others
SHORTEST_CALL: Final = 0.05


class LockServers:
    """Made inside a running event loop. `own` and `own_blocking` are connections to the one Redis, left open by `close`."""

    def __init__(self, settings: Settings, own: "AsyncRedis", own_blocking: "redis.Redis") -> None:
        self._lease = settings.limits.lease
        urls = [url.get_secret_value() for url in settings.redis.lock_urls]
        call = max(SHORTEST_CALL, self._lease / CALLS_IN_A_LEASE)
        self._ours = [connection_to(url, call) for url in urls]
        self._ours_blocking = [blocking_connection_to(url, call) for url in urls]
        self._asked: Sequence[AsyncRedis] = self._ours or [own]
        self._asked_blocking: Sequence[redis.Redis] = self._ours_blocking or [own_blocking]

    def locks(self) -> RedisLocks:
        return RedisLocks(self._asked, self._lease, least=self._lease / 2)

    def renewals(self) -> BlockingLocks:
        return BlockingLocks(self._asked_blocking, self._lease)

    async def close(self) -> None:
        for one in self._ours:
            with suppress(RedisError, OSError):
                await one.aclose()
