"""Settings of a test: a prefix of its own on the servers that the environment names, its topics created, a Redis database to flush."""

import os
import secrets
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from ledger.config import Settings
from ledger.config.settings import Kafka, Limits
from ledger.config.settings import Redis as RedisSettings
from ledger.kafka import topics

DATABASE = 7  # flushed by these tests


@pytest.fixture
async def runner_settings() -> Settings:
    bootstrap, url = os.environ.get("JOBLEDGER_KAFKA__BOOTSTRAP"), os.environ.get("JOBLEDGER_REDIS__URL")
    if bootstrap is None or url is None:
        pytest.skip("no servers: set JOBLEDGER_KAFKA__BOOTSTRAP and JOBLEDGER_REDIS__URL")
    settings = Settings(
        prefix=f"t{secrets.token_hex(4)}",
        partitions=2,
        kafka=Kafka(bootstrap=bootstrap),
        redis=RedisSettings(url=SecretStr(f"{url.rsplit('/', 1)[0]}/{DATABASE}")),
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
