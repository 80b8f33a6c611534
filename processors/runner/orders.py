"""What control tells this worker of its attempts, by its channel in Redis. Best effort: while nothing is heard, what runs goes on."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.core.orders import Order

log = structlog.get_logger(__name__)
LISTEN: Final = 1.0  # seconds in one call
PAUSE: Final = 0.5  # seconds until Redis is asked again
_DECODER: Final = msgspec.json.Decoder(list[Order])


async def listen(redis: "Redis", channel: str, obey: Callable[[Order], None]) -> None:
    """Until it is cancelled, however often Redis goes away meanwhile."""
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=True) as ear:
                await ear.subscribe(channel)
                while True:
                    message = await ear.get_message(timeout=LISTEN)
                    if message is not None and isinstance(message["data"], bytes):
                        for order in _read(message["data"]):
                            obey(order)
        except (RedisError, OSError, TimeoutError):
            await asyncio.sleep(PAUSE)


def _read(message: bytes) -> list[Order]:
    try:
        return _DECODER.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.warning("an order cannot be read and is left out", action="orders.unreadable", error=str(error))
        return []
