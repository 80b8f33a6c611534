"""A log is opened once, whoever else tries; a topic that was made anew, or another log's, is refused with both values."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete

from ledger.config import Settings
from ledger.core import wire
from ledger.core.outcome import Opened
from ledger.core.refusal import Conflict, Misconfigured
from ledger.kafka.connect import admin_client
from ledger.kafka.opening import LogIdentity, check_identity, open_log, opening
from ledger.kafka.topics import apply, specs
from tests.services.log.writing import append, read_all, read_head
from tests.unit.log.chains import commit


async def make_anew(settings: Settings, log: str) -> None:
    """Delete the topic and create it again, empty."""
    (spec,) = (one for one in specs(settings) if one.name == settings.topic(log))
    async with admin_client(settings.kafka.bootstrap) as admin, asyncio.timeout(20):
        await admin.delete_topics([spec.name])
        while True:
            made = await admin.create_topics([NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.config))])
            if made.topic_errors[0][1] == 0:
                break
            await asyncio.sleep(0.05)
    await apply(settings)


async def go_to_work(settings: Settings, partition: int) -> None:
    """A first commit behind the opening, as control writes it."""
    head = await read_head(settings, "events", partition)
    await append(settings, "events", partition, [wire.encode(commit(head.seq + 1, head.digest, partition=partition))])


async def test_the_first_commit_of_every_partition_names_the_log(settings: Settings, opened: LogIdentity) -> None:
    expected = Opened(opened.log_id, settings.partitions, opened.epoch)
    for number in range(settings.partitions):
        assert await read_all(settings, "events", number) == [opening(("events", number), expected)]
    assert await read_all(settings, "registry", 0) == [opening(("registry", 0), expected)]


async def test_opening_again_writes_nothing(settings: Settings, opened: LogIdentity) -> None:
    assert await open_log(settings) == opened
    assert await check_identity(settings) == opened
    assert len(await read_all(settings, "events", 0)) == 1


async def test_openers_that_race_agree_on_one_log_and_the_others_commits_are_void(settings: Settings) -> None:
    await apply(settings)
    identities = await asyncio.gather(*(open_log(settings) for _ in range(8)))
    assert len(set(identities)) == 1
    for number in range(settings.partitions):
        assert (await read_head(settings, "events", number)).seq == 1
    assert await check_identity(settings) == identities[0]


async def test_an_opener_that_died_half_way_is_carried_on(settings: Settings) -> None:
    await apply(settings)
    begun = Opened("ab" * 16, settings.partitions)
    for number in (0, 2):
        await append(settings, "events", number, [opening(("events", number), begun)])
    with pytest.raises(Misconfigured, match="not open yet: run `jobledger topics apply`"):
        await check_identity(settings)
    assert (await open_log(settings)).log_id == "ab" * 16
    assert (await check_identity(settings)).log_id == "ab" * 16


async def test_without_topics_nothing_is_created_by_looking(settings: Settings) -> None:
    with pytest.raises(Misconfigured, match=r"has no topic .*: run `jobledger topics apply`"):
        await check_identity(settings)
    async with admin_client(settings.kafka.bootstrap) as admin:
        assert not [name for name in await admin.list_topics() if name.startswith(settings.prefix)]


async def test_a_late_opener_harms_nothing(settings: Settings, opened: LogIdentity) -> None:
    """It looked before the log was open, and writes only now."""
    await append(settings, "events", 0, [opening(("events", 0), Opened("cd" * 16, settings.partitions))])
    assert await check_identity(settings) == opened
    assert (await read_head(settings, "events", 0)).seq == 1


async def test_events_that_were_made_anew_are_refused(settings: Settings, opened: LogIdentity) -> None:
    await make_anew(settings, "events")
    for act in (open_log, check_identity):
        with pytest.raises(Conflict) as refused:
            await act(settings)
        assert f"{settings.topic('events')}[0] is empty" in str(refused.value)
        assert opened.log_id in str(refused.value)
    assert await read_all(settings, "events", 0) == []


async def test_a_registry_that_was_made_anew_is_refused_once_the_events_are_at_work(settings: Settings, opened: LogIdentity) -> None:
    await go_to_work(settings, 2)
    await make_anew(settings, "registry")
    with pytest.raises(Conflict) as refused:
        await open_log(settings)
    assert f"{settings.topic('registry')} is empty" in str(refused.value)
    assert f"{settings.topic('events')}[2]" in str(refused.value)
    assert opened.log_id in str(refused.value)
    with pytest.raises(Misconfigured):
        await check_identity(settings)
    assert await read_all(settings, "registry", 0) == []


async def test_a_registry_that_was_lost_before_any_work_is_opened_again_as_the_same_log(settings: Settings, opened: LogIdentity) -> None:
    await make_anew(settings, "registry")
    assert await open_log(settings) == opened


async def test_another_log_in_a_partition_is_refused_with_both_ids(settings: Settings, opened: LogIdentity) -> None:
    await make_anew(settings, "events")
    other = Opened("ef" * 16, settings.partitions)
    for number in range(settings.partitions):
        await append(settings, "events", number, [opening(("events", number), other)])
    with pytest.raises(Conflict) as refused:
        await check_identity(settings)
    assert opened.log_id in str(refused.value)
    assert "ef" * 16 in str(refused.value)


async def test_another_number_of_partitions_is_refused_with_both(settings: Settings, opened: LogIdentity) -> None:
    with pytest.raises(Misconfigured, match="has 4 partitions, the settings say 3"):
        await check_identity(settings.model_copy(update={"partitions": 3}))


async def test_a_log_whose_beginning_was_deleted_is_refused(settings: Settings, opened: LogIdentity) -> None:
    await go_to_work(settings, 1)
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.delete_records({TopicPartition(settings.topic("events"), 1): RecordsToDelete(before_offset=1)})
    for act in (open_log, check_identity):
        with pytest.raises(Conflict, match=r"\[1\] begins at offset 1: its first commits were deleted"):
            await act(settings)


async def test_a_topic_that_another_program_wrote_to_first_is_refused(settings: Settings) -> None:
    await apply(settings)
    await append(settings, "events", 0, [b"hello"])
    with pytest.raises(Conflict, match=r"events\[0\] does not begin with the opening of a log"):
        await open_log(settings)
