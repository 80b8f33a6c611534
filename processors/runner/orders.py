"""What control tells by Redis: this worker of its attempts, and all workers of a queue of offers that Kafka is about to bring. Best effort:
while nothing is heard, what runs goes on, and what is offered comes a little later."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.core.offers import Hint
from ledger.core.orders import Order
from ledger.spread import spread

log = structlog.get_logger(__name__)
LISTEN: Final = 1.0  # seconds in one call
PAUSE: Final = 0.5  # seconds until Redis is asked again
_ORDERS: Final = msgspec.json.Decoder(list[Order])
_HINTS: Final = msgspec.json.Decoder(list[Hint])
T = TypeVar("T")


async def listen(redis: "Redis", orders: str, obey: Callable[[Order], None], hints: str, hear: Callable[[Hint], None]) -> None:
    """To these two channels, until it is cancelled, however often Redis goes away meanwhile."""
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=True) as ear:
                await ear.subscribe(orders, hints)
                while True:
                    message = await ear.get_message(timeout=LISTEN)
                    if message is None or not isinstance(message["data"], bytes):
                        continue
                    if message["channel"] == hints.encode():
                        for hint in _read(_HINTS, message["data"]):
                            hear(hint)
                    else:
                        for order in _read(_ORDERS, message["data"]):
                            obey(order)
        except (RedisError, OSError, TimeoutError):
            await asyncio.sleep(spread(PAUSE))


def _read(decoder: "msgspec.json.Decoder[list[T]]", message: bytes) -> list[T]:
    try:
        return decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.warning("an order or a hint cannot be read and is left out", action="orders.unreadable", error=str(error))
        return []
