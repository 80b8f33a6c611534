"""Topics on a real broker: created once, compared ever after, never altered."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ledger.config import Settings
from ledger.config.settings import Kafka, Queue
from ledger.core.refusal import Misconfigured, Unavailable
from ledger.kafka.connect import admin_client, new_producer
from ledger.kafka.topics import LARGEST_BATCH, Plan, apply, plan, specs


async def differences_seen(settings: Settings) -> Plan:
    """A broker does what it acknowledged a moment later, and tells nobody."""
    async with asyncio.timeout(10):
        while True:
            found = await plan(settings)
            if found.differences:
                return found
            await asyncio.sleep(0.02)


async def test_apply_creates_what_a_plan_shows_and_then_nothing(settings: Settings) -> None:
    planned = await plan(settings)
    assert planned.missing == tuple(specs(settings))
    assert (await plan(settings)).missing == planned.missing, "a plan does nothing"
    assert (await apply(settings)).missing == planned.missing
    after = await apply(settings)
    assert (after.missing, after.differences) == ((), ())


async def test_eight_at_once_agree(settings: Settings) -> None:
    await asyncio.gather(*(apply(settings) for _ in range(8)))
    after = await plan(settings)
    assert (after.missing, after.differences) == ((), ())


async def test_a_created_topic_can_be_written_at_once_and_the_broker_stamps_the_time(settings: Settings) -> None:
    await apply(settings)
    producer = new_producer(settings.kafka.bootstrap)
    await producer.start()
    try:
        done = await producer.send_and_wait(settings.topic("commands"), b"x", partition=3, timestamp_ms=1)
        assert done.timestamp > 1_600_000_000_000
        assert done.timestamp_type == 1
    finally:
        await producer.stop()


async def test_the_largest_record_that_the_producer_lets_through_is_taken(settings: Settings) -> None:
    """A refused record would poison the producer's partition."""
    await apply(settings)
    producer = new_producer(settings.kafka.bootstrap)
    await producer.start()
    try:
        body = random.Random(1).randbytes(producer._max_request_size - 5000)  # nothing in it to compress
        assert len(body) < LARGEST_BATCH
        await producer.send_and_wait(settings.topic("dead-letters"), body, partition=0, headers=[("reason", b"r" * 4000)])
    finally:
        await producer.stop()


async def test_a_new_queue_adds_its_topic_and_touches_no_other(settings: Settings) -> None:
    await apply(settings)
    more = settings.model_copy(update={"queues": {**settings.queues, "mail": Queue(partitions=2)}})
    assert [spec.name for spec in (await apply(more)).missing] == [settings.topic("work.mail")]


async def test_every_kind_of_difference_is_shown_and_nothing_is_created(settings: Settings) -> None:
    by_name = {spec.name: spec for spec in specs(settings)}
    events, commands = by_name[settings.topic("events")], by_name[settings.topic("commands")]
    wrong = [
        replace(events, partitions=3, config={**events.config, "message.timestamp.type": "CreateTime"}),
        replace(commands, config={**commands.config, "retention.ms": "1000"}),
    ]
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.create_topics([NewTopic(one.name, one.partitions, one.replication, topic_configs=dict(one.config)) for one in wrong])
    await differences_seen(settings)
    with pytest.raises(Misconfigured) as refused:
        await apply(settings)
    assert f"{events.name}: partitions is 3, has to be 4" in str(refused.value)
    assert f"{events.name}: message.timestamp.type is CreateTime, has to be LogAppendTime" in str(refused.value)
    assert f"{commands.name}: retention.ms is 1000, has to be 604800000" in str(refused.value)
    assert {spec.name for spec in (await plan(settings)).missing} == set(by_name) - {events.name, commands.name}


async def test_a_setting_that_somebody_altered_later_is_noticed(settings: Settings) -> None:
    await apply(settings)
    (spec,) = (one for one in specs(settings) if one.name == settings.topic("registry"))
    altered = {**spec.config, "retention.ms": "60000"}
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, spec.name, configs=altered)])
    found = await differences_seen(settings)
    assert [(one.setting, one.wanted, one.found) for one in found.differences] == [("retention.ms", "-1", "60000")]


@pytest.mark.parametrize("act", [plan, apply])
async def test_more_replicas_than_brokers_is_refused_in_words(settings: Settings, act: Callable[[Settings], Awaitable[Plan]]) -> None:
    three = settings.model_copy(update={"kafka": Kafka(bootstrap=settings.kafka.bootstrap, replication=3)})
    with pytest.raises(Misconfigured, match=r"replication 3.*set kafka\.replication"):
        await act(three)
    assert len((await plan(settings)).missing) == len(specs(settings))


async def test_a_broker_that_is_away_is_named(settings: Settings, unused_tcp_port: int) -> None:
    away = settings.model_copy(update={"kafka": Kafka(bootstrap=f"127.0.0.1:{unused_tcp_port}")})
    with pytest.raises(Unavailable, match=f"127.0.0.1:{unused_tcp_port}"):
        await apply(away)
