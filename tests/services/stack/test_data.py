"""What was acknowledged is there again, in a folder with an awkward name, after kill -9 of everything."""

import asyncio
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ledger.stack import FolderBusy, Stack, StackFailed
from ledger.stack.messages import SERVER_NAMES
from tests.services.stack.processes import nothing_left

AWKWARD = "a b ü ' \" , : $x"
KEPT = (b"record", b"key", [("row",)])


async def write(stack: Stack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, acks="all")
    await producer.start()
    await producer.send_and_wait("kept", b"record")
    await producer.stop()


async def read(stack: Stack) -> bytes | None:
    consumer = AIOKafkaConsumer("kept", bootstrap_servers=stack.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        value: bytes | None = (await asyncio.wait_for(consumer.getone(), 20)).value
        return value
    finally:
        await consumer.stop()


def key(stack: Stack) -> object:
    with redis.Redis.from_url(stack.redis) as client:
        return client.get("kept")


def write_all(stack: Stack) -> None:
    asyncio.run(write(stack))
    with redis.Redis.from_url(stack.redis) as client:
        client.set("kept", "key")
        client.execute_command("WAITAOF", 1, 0, 5000)  # on the disk it is within a second; here at once
    with psycopg.connect(stack.database) as connection:
        connection.execute("create table kept as select 'row' as text")


def read_all(stack: Stack) -> tuple[object, ...]:
    return asyncio.run(read(stack)), key(stack), rows(stack)


def rows(stack: Stack) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.database) as connection:
        return connection.execute("select text from kept").fetchall()


def test_data_and_addresses_survive_kill_9_of_all(tmp_path: Path) -> None:
    with Stack.start(tmp_path / AWKWARD, fast=True, supervise=False) as first:
        write_all(first)
        before = (first.kafka, first.redis, first.database)
        pids = dict(first.pids)
        for name in SERVER_NAMES:
            first.kill(name)
        for name in SERVER_NAMES:
            first.restart(name)
        assert (first.kafka, first.redis, first.database) == before
        assert set(first.pids.values()) & set(pids.values()) == {pids["keeper"]}
        assert read_all(first) == KEPT
        os.kill(first.pids["keeper"], signal.SIGKILL)
        with Stack.start(tmp_path / AWKWARD, fast=True) as second:  # at once: it waits for the last of the old servers
            assert (second.kafka, second.redis, second.database) == before
            assert read_all(second) == KEPT
        nothing_left(tmp_path / AWKWARD, second.pids)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Stack]:
    """Kafka is given, so it starts in no time."""
    with Stack.start(tmp_path_factory.mktemp("own"), supervise=False, kafka=stack.kafka) as own:
        yield own


def test_a_restart_with_empty_wipes(own: Stack) -> None:
    with redis.Redis.from_url(own.redis) as client:
        client.set("kept", "key")
    own.restart("valkey")
    assert key(own) == b"key"
    own.restart("valkey", empty=True)
    assert key(own) is None


def test_unsupervised_a_dead_server_is_left_dead(own: Stack) -> None:
    os.kill(own.pids["valkey"], signal.SIGKILL)
    own.kill("valkey")  # returns when it is gone; it may be already
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(own.redis) as client:
        client.ping()
    own.restart("valkey")
    assert own.failure is None


def test_a_given_server_is_not_ours_to_kill(own: Stack, stack: Stack) -> None:
    assert own.kafka == stack.kafka
    with pytest.raises(StackFailed, match="kafka is not a server of this stack"):
        own.kill("kafka")


def test_a_second_stack_in_the_folder_is_told_who_holds_it(own: Stack) -> None:
    with pytest.raises(FolderBusy, match=rf"is running already \(keeper: pid {own.pids['keeper']}\).*`jobledger stack stop`"):
        Stack.start(own.directory)


def test_the_password_is_needed_and_stays_private(own: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(own.database.replace("jobledger:", "jobledger:x"))
    assert all("jobledger:" not in server.url for server in own.servers)
    assert stat.S_IMODE((own.directory / "postgres" / "password").stat().st_mode) == 0o600
