"""How far a queue's offers were taken, asked of a real broker."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from ledger.config import Settings
from ledger.config.settings import Kafka
from ledger.kafka.connect import admin_client, new_consumer
from ledger.kafka.opening import LogIdentity
from processors.control.appender import Appended
from processors.control.work import Work, runner_group


@pytest.fixture
async def work(settings: Settings, opened: LogIdentity) -> AsyncIterator[Work]:
    work = Work(settings)
    yield work
    await work.stop()


async def commit(settings: Settings, place: TopicPartition, offset: int) -> None:
    """As a runner of the queue does."""
    runner = new_consumer(settings.kafka.bootstrap, group=runner_group(settings, "default"))
    await runner.start()
    runner.assign([place])
    await runner.commit({place: offset})
    await runner.stop()


async def test_offers_count_as_passed_when_the_group_or_retention_has_passed_them(settings: Settings, work: Work) -> None:
    for nth in range(2 * settings.queues["default"].partitions):
        assert isinstance((await work.send("default", b"[]"))[1], Appended), nth
    place = TopicPartition(settings.topic("work.default"), 0)
    await commit(settings, place, 0)
    assert (await work.passed({"default"}))["default"][0] == 0
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.delete_records({place: RecordsToDelete(before_offset=1)})
    assert (await work.passed({"default"}))["default"][0] == 1
    await commit(settings, place, 2)
    assert (await work.passed({"default"}))["default"][0] == 2


async def test_while_the_broker_is_away_nothing_is_known(settings: Settings, unused_tcp_port: int) -> None:
    away = Work(settings.model_copy(update={"kafka": Kafka(bootstrap=f"127.0.0.1:{unused_tcp_port}")}))
    assert await away.passed({"default"}) == {}
    await away.stop()
