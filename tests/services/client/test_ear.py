"""The subscription on which a client hears its answers."""

import asyncio
import random

from ledger.client.ear import Ear
from ledger.config import Settings

LONGEST_CONNECT = 0.008  # seconds, about: each time it is closed at another step of that


async def test_it_is_closed_also_while_it_connects(settings: Settings) -> None:
    chance = random.Random(7)
    for _ in range(100):
        ear = Ear(settings.redis.url.get_secret_value(), settings.redis_key("answers", "x"), lambda answers: None)
        opening = asyncio.create_task(ear.open())
        await asyncio.sleep(chance.uniform(0, LONGEST_CONNECT))
        opening.cancel()
        async with asyncio.timeout(5):
            await ear.close()
