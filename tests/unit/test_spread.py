"""Many that lost a server together do not come back to it together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAway

from ledger.client.ear import Ear
from ledger.core.refusal import Unavailable
from ledger.spread import spread
from processors.runner import orders
from tests.unit.client.test_sending import Broker, sender

PAUSES = 5


class Enough(BaseException):
    """So many pauses were seen."""


class NoRedis:
    """Refuses every connection."""

    def pubsub(self, **kwargs: object) -> Any:  # Any: what is never entered
        raise RedisAway("refused")

    async def aclose(self) -> None: ...


async def listen() -> None:
    await orders.listen(cast("Redis", NoRedis()), "orders", lambda order: None, "hints", lambda hint: None)


async def hear() -> None:
    await Ear("redis://127.0.0.1:9/0", "answers", lambda answers: None)._listen()


async def post() -> None:
    with pytest.raises(Unavailable):
        await sender(Broker(is_down=True), patience=60).post("t", 0, b"{}")


def test_a_pause_becomes_no_longer_and_no_shorter_than_half() -> None:
    pauses = {spread(2.0) for _ in range(100)}
    assert len(pauses) > 50
    assert all(1.0 <= one <= 2.0 for one in pauses)


@pytest.mark.parametrize("trying", [listen, hear, post], ids=["a runner listens", "a client listens", "a client sends"])
async def test_two_that_try_again_do_so_at_different_times(monkeypatch: pytest.MonkeyPatch, trying: Callable[[], Awaitable[None]]) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) % PAUSES == 0:
            raise Enough

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(2):
        with pytest.raises(Enough):
            await trying()
    assert pauses[:PAUSES] != pauses[PAUSES:]
