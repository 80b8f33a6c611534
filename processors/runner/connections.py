"""Connections to Redis as a runner uses them: no call waits longer than it may, and nothing is tried again inside the client, for a claim
or a lock that was taken twice without our knowing would look like another's.

What goes out is packed in C: redis-py does so for blocking connections alone, and a round trip here has hundreds of keys, 2.1 us each in
Python, 0.2 in C. A connection by TLS (`rediss`) is redis-py's own and packs as ever.
"""

import redis
from redis.asyncio import Connection
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.retry import Retry
from redis.typing import EncodableT


class Packing(Connection):
    _packer = HiredisRespSerializer()

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        packed: list[bytes] = self._packer.pack(*args)  # type: ignore[arg-type]  # annotated as if each argument were a list
        return packed


def connection_to(url: str, call: float) -> "AsyncRedis":
    """`call`: seconds that a call, or connecting, may take."""
    return AsyncRedis.from_url(
        url, socket_timeout=call, socket_connect_timeout=call, retry=AsyncRetry(NoBackoff(), 0), connection_class=Packing
    )


def blocking_connection_to(url: str, call: float) -> "redis.Redis":
    """The same for a thread."""
    return redis.Redis.from_url(url, socket_timeout=call, socket_connect_timeout=call, retry=Retry(NoBackoff(), 0))
