"""Reading a partition of a log on a real broker."""

import asyncio
from contextlib import aclosing

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from msgspec import structs

from ledger.config import Settings
from ledger.config.settings import Kafka
from ledger.core import chain, wire
from ledger.core.chain import Head
from ledger.core.refusal import ChainBroken, Conflict, Misconfigured, Unavailable
from ledger.kafka import history
from ledger.kafka.connect import admin_client
from ledger.kafka.log_reader import LogReader
from ledger.kafka.opening import LogIdentity
from ledger.kafka.tail import tail
from tests.services.log.writing import append, read_all, read_head
from tests.unit.log.chains import commit, rewritten

PLACE = ("events", 1)


@pytest.fixture
async def log(settings: Settings, opened: LogIdentity) -> list[bytes]:
    """Ten commits, the first one the opening."""
    records = await read_all(settings, *PLACE)
    for seq in range(2, 11):
        records.append(wire.encode(commit(seq, chain.digest(records[-1]), partition=1)))
    await append(settings, *PLACE, records[1:])
    return records


async def test_all_of_it_and_a_part_of_it(settings: Settings, log: list[bytes]) -> None:
    async with LogReader(settings, *PLACE) as reader:
        assert await reader.bounds() == (0, 10)
        for start, until in ((0, 10), (3, 7), (9, 10), (10, 10)):
            read = [record async for batch in reader.batches(start, until) for record in batch.records]
            assert [record.value for record in read] == log[start:until]
            assert [record.offset for record in read] == list(range(start, until))
            assert all(record.timestamp > 1_600_000_000_000 for record in read)


async def test_what_is_accepted_leaves_out_the_voids_and_goes_on_from_any_head(settings: Settings, log: list[bytes]) -> None:
    await append(settings, *PLACE, [log[4], rewritten(log[9], at=10_001)])
    half = Head(*PLACE)
    async with LogReader(settings, *PLACE) as reader:
        async with aclosing(reader.commits(half, 5)) as commits:
            async for walked in commits:
                half = walked.head
        walks = [walked async for walked in reader.commits(half, 12)]
    assert half.seq == 5
    assert [one.record for walked in walks for one in walked.commits] == log[5:]
    assert [offset for walked in walks for offset in walked.voids] == [10, 11]
    assert walks[-1].head.next_offset == 12


async def test_a_broken_chain_gives_what_is_good_and_then_raises_with_its_place(settings: Settings, log: list[bytes]) -> None:
    await append(settings, *PLACE, [rewritten(log[4], seq=11)])
    seen: list[bytes] = []
    async with LogReader(settings, *PLACE) as reader:
        with pytest.raises(ChainBroken) as broken:
            async for walked in reader.commits(Head(*PLACE), 11):
                seen += [one.record for one in walked.commits]
    assert seen == log
    assert (broken.value.log, broken.value.partition, broken.value.offset) == ("events", 1, 10)


async def test_following_waits_for_what_comes(settings: Settings, log: list[bytes]) -> None:
    head = await read_head(settings, *PLACE)
    following = asyncio.Event()

    async def follow() -> bytes:
        async with LogReader(settings, *PLACE) as reader, aclosing(reader.commits(head)) as commits:
            following.set()
            async for walked in commits:
                return walked.commits[0].record
        raise AssertionError("it ended")

    task = asyncio.create_task(follow())
    await following.wait()
    new = wire.encode(commit(11, head.digest, partition=1))
    await append(settings, *PLACE, [new])
    async with asyncio.timeout(10):
        assert await task == new


async def test_offsets_without_records_are_stepped_over(settings: Settings, log: list[bytes]) -> None:
    """A transaction leaves markers that take an offset each; nobody of ours writes any, but a log may be copied by a tool that does."""
    topic, head = settings.topic("events"), chain.digest(log[-1])
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, transactional_id=settings.prefix)
    await producer.start()
    try:
        for seq in (11, 12):
            record = wire.encode(commit(seq, head, partition=1))
            head = chain.digest(record)
            async with producer.transaction():
                await producer.send_and_wait(topic, record, partition=1)
    finally:
        await producer.stop()
    async with asyncio.timeout(20), LogReader(settings, *PLACE) as reader:
        while await reader.bounds() != (0, 14):  # the marker of a transaction is written after its end is acknowledged
            pass
        walks = [walked async for walked in reader.commits(Head(*PLACE), 14)]
        assert walks[-1].head.seq == 12
        assert [one.offset for walked in walks for one in walked.commits][-2:] == [10, 12]
        assert await reader.at(11) is None
        found = await history.by_seq(reader, 12)
        assert found is not None
        assert found.offset == 12


async def test_history_by_address_in_any_order(settings: Settings, log: list[bytes]) -> None:
    async with LogReader(settings, *PLACE) as reader:
        for offset in (7, 0, 9, 3, 3):
            record = await reader.at(offset)
            assert record is not None
            assert (record.offset, record.value) == (offset, log[offset])
        assert await reader.at(10) is None
        assert await reader.at(-1) is None


async def test_a_commit_is_found_by_its_number_behind_voids(settings: Settings, log: list[bytes]) -> None:
    await append(settings, *PLACE, [log[1], log[2], wire.encode(commit(11, chain.digest(log[-1]), partition=1)), log[9]])
    async with LogReader(settings, *PLACE) as reader:
        assert [(found := await history.by_seq(reader, seq)) and found.offset for seq in (0, 1, 3, 10, 11, 12)] == [None, 0, 2, 9, 12, None]
        last = await history.last_before(reader, 11)
        assert last is not None
        assert last.offset == 9, "10 and 11 are void"


async def test_a_place_that_is_gone_or_not_there_yet_is_refused(settings: Settings, log: list[bytes]) -> None:
    """A consumer that is sent there anyway would silently start over from another place."""
    async with admin_client(settings.kafka.bootstrap) as admin:
        await admin.delete_records({TopicPartition(settings.topic("events"), 1): RecordsToDelete(before_offset=4)})
    async with LogReader(settings, *PLACE) as reader:
        for place, why in ((3, "its first records are gone"), (11, "made anew")):
            with pytest.raises(Conflict, match=rf"holds offsets 4 to 10, but reading goes on at {place}: .*{why}"):
                async for _ in reader.batches(place, 12):
                    raise AssertionError("nothing may be read")


async def test_a_broker_that_is_away_is_named(settings: Settings, unused_tcp_port: int) -> None:
    away = settings.model_copy(update={"kafka": Kafka(bootstrap=f"127.0.0.1:{unused_tcp_port}")})
    with pytest.raises(Unavailable, match=f"127.0.0.1:{unused_tcp_port}"):
        async with LogReader(away, *PLACE):
            raise AssertionError("there is nobody")


async def test_a_topic_that_is_not_there_is_named(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"prefix": "nowhere"})
    with pytest.raises(Misconfigured, match=r"has no topic nowhere\.events\.v1: run `jobledger topics apply`"):
        async with LogReader(elsewhere, *PLACE):
            raise AssertionError("there is nothing to read")


async def test_the_last_events_stand_behind_any_number_of_commits_without_any(settings: Settings, log: list[bytes]) -> None:
    for seq in range(11, 41):
        log.append(wire.encode(structs.replace(commit(seq, chain.digest(log[-1]), partition=1), events=())))
    await append(settings, *PLACE, log[10:])
    for most, seqs in ((0, []), (1, [10]), (3, [8, 9, 10]), (500, [*range(1, 11)])):
        lines, [head] = await tail(settings, "events", [1], most)
        assert [line.seq for line in lines] == seqs
        assert (head.seq, head.next_offset) == (40, 40)
