"""Limits over all workers, on a real Redis: places and rates in the script of the claims, renewals, and what a dead worker leaves."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis as blocking
from redis.asyncio import Redis

from ledger.client.redis_reads import Standing, limits_of, open_redis, standing
from ledger.config import Settings
from ledger.core.ids import WorkerId
from ledger.core.limits import Limit, Rate
from ledger.core.workers import About, encode_about
from processors.runner.claims import RedisClaims, Verdict
from processors.runner.limited_claims import Refused
from processors.runner.places import BlockingHolders, RedisHolders

TWO = Limit("queue", "mail", 2)
FAST = Limit("job", "greet", None, Rate(50, 1000))
ONE_A_MINUTE = Limit("tenant", "acme", None, Rate(1, 60_000))


@pytest.fixture
async def claims(runner_settings: Settings, redis: Redis) -> AsyncIterator[tuple[RedisClaims, RedisClaims]]:
    """Of two workers, each on its connection."""
    other = Redis.from_url(runner_settings.redis.url.get_secret_value())
    yield RedisClaims(redis, runner_settings, WorkerId("ada")), RedisClaims(other, runner_settings, WorkerId("bob"))
    await other.aclose()


@pytest.fixture
def key(runner_settings: Settings) -> Callable[[int], str]:
    return lambda nth: runner_settings.redis_key("claim", f"x{nth}", str(nth))


def letters(verdicts: list[Verdict]) -> str:
    return "".join("x" if isinstance(one, Refused) else one[0] for one in verdicts)


async def test_of_two_workers_together_no_more_than_the_limit_get_a_place(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str], redis: Redis, runner_settings: Settings
) -> None:
    ada, bob = claims
    mine, his = [key(nth) for nth in range(0, 20, 2)], [key(nth) for nth in range(1, 20, 2)]
    found = await asyncio.gather(ada.claim(mine, (), [[TWO]] * 10), bob.claim(his, (), [[TWO]] * 10))
    together = "".join(map(letters, found))
    assert (together.count("w"), together.count("x")) == (2, 18)
    refused = next(one for verdicts in found for one in verdicts if isinstance(one, Refused))
    assert refused == Refused(TWO, None)
    assert await redis.exists(*mine, *his) == 2, "what is refused is not claimed"
    places = runner_settings.redis_key("places", "queue:mail")
    assert await redis.zcard(places) == 2 and 0 < await redis.pttl(places) <= 2000

    names = [name.decode() for name in await redis.zrange(places, 0, -1)]
    await RedisHolders(redis).let_go([(places, names[0])])
    assert letters(await bob.claim([key(90), key(91)], (), [[TWO]] * 2)) == "wx"


async def test_what_no_limit_bounds_is_claimed_beside_it_in_the_same_round_trip(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str]
) -> None:
    ada, bob = claims
    assert letters(await ada.claim([key(nth) for nth in range(5)], (), [[TWO], [], [TWO], [TWO], []])) == "wwwxw"
    assert letters(await ada.claim([key(0), key(3)], (), [[TWO], [TWO]])) == "mx"
    assert letters(await bob.claim([key(nth) for nth in range(5)], (), [[TWO], [], [TWO], [TWO], []])) == "lllxl"


async def test_one_that_several_limits_bound_takes_all_or_none(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str], redis: Redis, runner_settings: Settings
) -> None:
    ada, _ = claims
    one = Limit("tenant", "acme", 1)
    assert letters(await ada.claim([key(0), key(1), key(2)], (), [[TWO, one]] * 3)) == "wxx"
    assert await redis.zcard(runner_settings.redis_key("places", "queue:mail")) == 1
    assert letters(await ada.claim([key(3)], (), [[TWO]])) == "w"


async def test_starts_are_spaced_by_the_rate_over_both_workers_and_the_script_tells_when_to_come_again(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str]
) -> None:
    began, won, waits = time.monotonic(), 0, []
    for nth in range(1000):
        (verdict,) = await claims[nth % 2].claim([key(nth)], (), [[FAST]])
        if isinstance(verdict, Refused):
            assert verdict.wait is not None and 0 < verdict.wait <= 0.02
            waits.append(verdict.wait)
            await asyncio.sleep(verdict.wait)  # what a worker does
        won += verdict == "won"
        if time.monotonic() - began > 1:
            break
    took = time.monotonic() - began
    assert waits and won <= 50 * took + 6, f"{won} in {took:.2f} s"


async def test_a_slow_rate_lets_one_through_and_says_how_long_the_next_has_to_wait(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str]
) -> None:
    first, second = await claims[0].claim([key(0), key(1)], (), [[ONE_A_MINUTE]] * 2)
    assert first == "won" and isinstance(second, Refused) and second.wait == 60
    (again,) = await claims[0].claim([key(0)], (), [[ONE_A_MINUTE]])
    assert again == "mine", "who has its claim is not counted twice"


async def test_places_of_the_dead_are_free_a_lease_later_and_those_of_the_living_are_renewed(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str], redis: Redis, runner_settings: Settings
) -> None:
    lease = runner_settings.limits.lease
    places = runner_settings.redis_key("places", "queue:mail")
    assert letters(await claims[0].claim([key(0), key(1)], (), [[TWO]] * 2)) == "ww"
    with blocking.Redis.from_url(runner_settings.redis.url.get_secret_value()) as client:
        renewals = BlockingHolders(client, lease)
        deadline = time.monotonic() + lease * 1.3
        while time.monotonic() < deadline:
            assert await asyncio.to_thread(renewals.renew, [(places, "x0:0")])
            await asyncio.sleep(lease / 6)  # the pace of renewals
        assert letters(await claims[1].claim([key(2), key(3)], (), [[TWO]] * 2)) == "wx"
        await asyncio.to_thread(renewals.let_go_again, [(places, "x0:0")])
    assert letters(await claims[1].claim([key(4)], (), [[TWO]])) == "w"


async def test_a_redis_that_forgot_everything_lets_the_limit_through_and_the_next_renewal_writes_it_anew(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str], redis: Redis, runner_settings: Settings
) -> None:
    places = runner_settings.redis_key("places", "queue:mail")
    await claims[0].claim([key(0), key(1)], (), [[TWO]] * 2)
    await redis.flushdb()
    with blocking.Redis.from_url(runner_settings.redis.url.get_secret_value()) as client:
        assert await asyncio.to_thread(BlockingHolders(client, 2.0).renew, [(places, "x0:0"), (places, "x1:1")])
    assert letters(await claims[1].claim([key(2)], (), [[TWO]])) == "x"


async def test_a_clock_of_redis_that_was_set_back_leaves_nothing_behind(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str], redis: Redis, runner_settings: Settings
) -> None:
    """What stands far in the future was written before: as the script counts, no place lasts longer than a lease."""
    hour = (time.time() + 3600) * 1e6
    await redis.zadd(runner_settings.redis_key("places", "queue:mail"), {"a": hour, "b": hour})
    await redis.set(runner_settings.redis_key("rate", "tenant:acme"), f"{hour:.0f}")
    assert letters(await claims[0].claim([key(0), key(1)], (), [[TWO], [ONE_A_MINUTE]])) == "ww"


async def test_a_reader_sees_who_holds_what_and_when_the_next_may_start(
    claims: tuple[RedisClaims, RedisClaims], key: Callable[[int], str], redis: Redis, runner_settings: Settings
) -> None:
    about = About("mail", limits=[Limit("job", "greet", 2)], jobs={"greet": 1})
    await redis.set(runner_settings.redis_key("worker", "ada"), encode_about(about))
    await redis.set(runner_settings.redis_key("worker", "of-another-release"), b'{"queue":[]}')
    async with open_redis(runner_settings) as reading:
        assert await limits_of(runner_settings, reading, "default", "greet", "acme") == about.limits
        (greet,) = about.limits
        assert await standing(runner_settings, reading, greet) == Standing(greet)
        await claims[0].claim([key(0), key(1)], (), [[greet], [greet, ONE_A_MINUTE]])
        full = await standing(runner_settings, reading, greet)
        assert full.is_reached and (full.held, set(full.holders)) == (2, {"x0", "x1"})
        slow = await standing(runner_settings, reading, ONE_A_MINUTE)
        assert slow.is_reached and 58_000_000 < slow.next_us <= 60_000_000
