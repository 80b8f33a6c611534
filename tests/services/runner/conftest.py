"""Settings of a test of the runner: its topics are there, and it has a Redis database that it may flush."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from ledger.config import Settings
from ledger.config.settings import Limits
from ledger.config.settings import Redis as RedisSettings
from ledger.kafka import topics
from ledger.stack import Stack

DATABASE = 7  # flushed by these tests


@pytest.fixture
async def runner_settings(stack: Stack, settings: Settings) -> Settings:
    changed = settings.model_copy(
        update={
            "partitions": 2,
            "redis": RedisSettings(url=SecretStr(f"{stack.redis.rsplit('/', 1)[0]}/{DATABASE}")),
            "limits": Limits(lease=2.0, slots=200, shutdown_grace=0.5),
        }
    )
    await topics.apply(changed)
    return changed


@pytest.fixture
async def redis(runner_settings: Settings) -> AsyncIterator[Redis]:
    client = Redis.from_url(runner_settings.redis.url.get_secret_value())
    await client.flushdb()
    yield client
    await client.aclose()
