"""Settings of a test: a prefix of its own, its topics created, a Redis database to flush."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from ledger.config import Settings
from ledger.config.settings import Kafka, Limits
from ledger.config.settings import Redis as RedisSettings
from ledger.kafka import topics
from ledger.stack import Stack

DATABASE = 7  # flushed by these tests


@pytest.fixture(scope="session")
def runner_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack.start(tmp_path_factory.mktemp("runner-stack"), fast=True, supervise=False) as stack:
        yield stack


@pytest.fixture
async def runner_settings(runner_stack: Stack) -> Settings:
    settings = Settings(
        prefix=f"t{secrets.token_hex(4)}",
        partitions=2,
        kafka=Kafka(bootstrap=runner_stack.kafka),
        redis=RedisSettings(url=SecretStr(f"{runner_stack.redis.rsplit('/', 1)[0]}/{DATABASE}")),
        limits=Limits(lease=0.6, slots=50, shutdown_grace=0.5),
    )
    await topics.apply(settings)
    return settings


@pytest.fixture
async def redis(runner_settings: Settings) -> AsyncIterator[Redis]:
    client = Redis.from_url(runner_settings.redis.url.get_secret_value())
    await client.flushdb()
    yield client
    await client.aclose()
