"""Hears the answers: one Redis subscription per client. Best effort; who depends on it looks at `last_heard`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
from msgspec import DecodeError, json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.core.outcome import Answer
from ledger.spread import spread

log = structlog.get_logger(__name__)
CONNECTING: Final = 2.0
LONGEST_PAUSE: Final = 2.0
CLOSING: Final = 0.1
_answers = json.Decoder(list[Answer])


class Ear:
    """`hear` is called in the event loop with each message's answers."""

    def __init__(self, url: str, channel: str, hear: Callable[[list[Answer]], None]) -> None:
        self.channel = channel
        self.is_open = False  # the first subscription was tried
        self.is_listening = False
        self.last_heard = float("-inf")  # by the loop's clock
        self._url = url
        self._hear = hear
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()

    async def open(self) -> None:
        """Subscribe, once. Redis being away is not waited for longer than a connection may take."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECTING):
                await self._first.wait()
        self.is_open = True

    async def close(self) -> None:
        while self._task is not None and not self._task.done():
            self._task.cancel()  # and again: redis-py, while it connects, may swallow it
            await asyncio.wait([self._task], timeout=CLOSING)

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            redis = Redis.from_url(self._url, socket_connect_timeout=CONNECTING, health_check_interval=5)
            try:
                async with redis.pubsub() as pubsub:
                    await pubsub.subscribe(self.channel)
                    async for message in pubsub.listen():
                        pause = 0.1
                        self._take(message)
            except (RedisError, OSError, TimeoutError) as error:
                if self.is_listening or not self._first.is_set():
                    log.warning("no answers are heard; the tables are asked instead", action="ear.deaf", error=repr(error))
            finally:
                self.is_listening = False
                with suppress(RedisError, OSError, TimeoutError):
                    await redis.aclose()
            self._first.set()
            await asyncio.sleep(spread(pause))
            pause = min(LONGEST_PAUSE, pause * 2)

    def _take(self, message: dict[str, object]) -> None:
        if message["type"] == "subscribe":
            self.is_listening = True
            self._first.set()
        data = message["data"]
        if message["type"] != "message" or not isinstance(data, bytes):
            return
        self.last_heard = asyncio.get_running_loop().time()
        try:
            self._hear(_answers.decode(data))
        except DecodeError as error:
            log.warning("an answer could not be read", action="ear.unreadable", error=str(error))
