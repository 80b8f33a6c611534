"""Claims and the sign of life, on a real Redis."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import redis as blocking
from pydantic import SecretStr
from redis.asyncio import Redis

from ledger.config import Settings
from ledger.config.settings import Redis as RedisSettings
from ledger.core.ids import WorkerId
from ledger.core.refusal import Unavailable
from processors.runner.claims import RedisClaims
from processors.runner.lease import Lease

ADA, BOB = WorkerId("ada"), WorkerId("bob")


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def keys(runner_settings: Settings) -> list[str]:
    return [runner_settings.redis_key("claim", f"x{n}", str(n)) for n in range(500)]


@pytest.fixture
async def claims(runner_settings: Settings, redis: Redis) -> AsyncIterator[tuple[RedisClaims, RedisClaims]]:
    """Of two workers that are alive, each on its connection."""
    other = Redis.from_url(runner_settings.redis.url.get_secret_value())
    for worker in (ADA, BOB):
        await redis.set(runner_settings.redis_key("worker", worker), "{}")
    yield RedisClaims(redis, runner_settings, ADA), RedisClaims(other, runner_settings, BOB)
    await other.aclose()


async def test_of_two_workers_that_claim_the_same_at_the_same_time_one_wins_each(
    claims: tuple[RedisClaims, RedisClaims], keys: list[str]
) -> None:
    ada, bob = claims
    for_ada, for_bob = await asyncio.gather(ada.claim(keys), bob.claim(list(reversed(keys))))
    for_bob.reverse()
    assert {frozenset(pair) for pair in zip(for_ada, for_bob, strict=True)} == {frozenset({"won", "lost"})}


async def test_a_claim_lives_for_three_leases_and_says_who_holds_it(
    claims: tuple[RedisClaims, RedisClaims], keys: list[str], redis: Redis
) -> None:
    assert await claims[0].claim(keys[:1]) == ["won"]
    assert await redis.get(keys[0]) == b"ada"
    assert 5000 < await redis.pttl(keys[0]) <= 6000


async def test_a_claim_that_is_asked_for_again_is_known_as_ones_own(claims: tuple[RedisClaims, RedisClaims], keys: list[str]) -> None:
    await claims[0].claim(keys[:2])
    assert await claims[0].claim(keys[:3]) == ["mine", "mine", "won"]
    assert await claims[0].claim([keys[5], keys[5]]) == ["won", "mine"]


async def test_the_claim_of_a_dead_worker_is_taken_over_by_a_later_re_offer_alone(
    claims: tuple[RedisClaims, RedisClaims], keys: list[str], redis: Redis, runner_settings: Settings
) -> None:
    ada, bob = claims
    await ada.claim(keys[:2])
    await ada.claim(keys[2:4], [1, 2])
    assert await bob.claim(keys[:4], [1, 1, 2, 3]) == ["lost"] * 4  # she lives
    await redis.delete(runner_settings.redis_key("worker", ADA))
    assert await bob.claim(keys[:4]) == ["lost"] * 4  # the same record, delivered once more
    assert await bob.claim(keys[:4], [0, 1, 1, 2]) == ["lost", "won", "lost", "lost"]
    assert await bob.claim(keys[:4], [1, 1, 2, 3]) == ["won", "mine", "won", "won"]
    assert await redis.mget(keys[:4]) == [b"bob 1", b"bob 1", b"bob 2", b"bob 3"]


async def test_what_a_re_offer_won_is_renewed_as_it_is(held: "Held", redis: Redis, runner_settings: Settings, keys: list[str]) -> None:
    ada = RedisClaims(redis, runner_settings, ADA)
    assert await ada.claim(keys[:1], [2]) == ["won"]
    await redis.pexpire(keys[0], 500)
    held.claims = keys[:1]
    held.lease.renew()
    assert await redis.get(keys[0]) == b"ada 2" and await redis.pttl(keys[0]) > 5000
    assert await ada.claim(keys[:1], [2]) == ["mine"]


async def test_where_no_redis_answers_the_outcome_is_said_to_be_unknown(runner_settings: Settings, keys: list[str]) -> None:
    nobody = Redis.from_url("redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable):
        await RedisClaims(nobody, runner_settings, ADA).claim(keys)
    await nobody.aclose()


class Held:
    """A lease of ada's, and what it told."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.claims: list[str] = []
        self.changes: list[bool] = []
        client = blocking.Redis.from_url(settings.redis.url.get_secret_value(), socket_timeout=0.2, socket_connect_timeout=0.2)
        self.client = client
        self.lease = Lease(client, settings, ADA, lambda: b'{"pid":1}', lambda: self.claims, self.changed)

    def changed(self) -> None:
        self.changes.append(self.lease.is_held())


@pytest.fixture
def held(runner_settings: Settings, redis: Redis) -> Iterator[Held]:
    held = Held(runner_settings)
    yield held
    held.lease.end()
    held.client.close()


async def test_a_lease_is_written_at_once_renewed_and_published(held: Held, redis: Redis, runner_settings: Settings) -> None:
    key = runner_settings.redis_key("worker", ADA)
    async with redis.pubsub(ignore_subscribe_messages=True) as subscribed:
        await subscribed.subscribe(runner_settings.redis_key("renewals"))
        held.lease.begin()
        heard = 0
        async with asyncio.timeout(5):
            while heard < 3:
                message = await subscribed.get_message(timeout=1)
                heard += message is not None and message["data"] == b"ada"
    assert held.lease.is_held()
    assert await redis.get(key) == b'{"pid":1}'
    assert 0 < await redis.pttl(key) <= 2000
    assert held.changes == [True]


async def test_after_a_flush_the_next_renewal_writes_everything_anew(held: Held, redis: Redis, runner_settings: Settings) -> None:
    held.claims = [runner_settings.redis_key("claim", f"x{n}", "1") for n in range(1200)]
    held.lease.begin()
    await eventually(held.lease.is_held)
    await redis.flushdb()
    await redis.script_flush()
    deadline = time.monotonic() + 5
    while await redis.dbsize() < 1201:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert set(await redis.mget(held.claims)) == {b"ada"}
    assert held.lease.is_held()


async def test_a_claim_that_another_took_over_is_left_to_it(held: Held, redis: Redis, runner_settings: Settings) -> None:
    lost = runner_settings.redis_key("claim", "x", "1")
    held.claims = [lost]
    await redis.set(lost, "bob")
    held.lease.renew()
    assert await redis.get(lost) == b"bob"


async def test_the_end_of_a_worker_is_seen_at_once(held: Held, redis: Redis, runner_settings: Settings) -> None:
    held.lease.begin()
    await eventually(held.lease.is_held)
    held.lease.end()
    assert await redis.exists(runner_settings.redis_key("worker", ADA)) == 0
    assert not held.lease.is_held()


async def test_a_worker_whose_event_loop_is_busy_is_alive(held: Held, redis: Redis, runner_settings: Settings) -> None:
    held.lease.begin()
    await eventually(held.lease.is_held)
    threading.Event().wait(runner_settings.limits.lease * 1.5)  # the loop does nothing else meanwhile: that is the point
    assert await redis.exists(runner_settings.redis_key("worker", ADA)) == 1


async def test_a_worker_that_cannot_renew_knows_before_its_lease_is_over(runner_settings: Settings) -> None:
    nowhere = runner_settings.model_copy(update={"redis": RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"))})
    lonely = Held(nowhere)
    lonely.lease.begin()
    assert not lonely.lease.is_held()
    lonely.lease.end()
    lonely.client.close()
