"""A broker that goes away is told as just that, in whatever turn of the loop something is sent to it."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from ledger.config import Settings

Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", range(5))
def test_what_is_sent_over_a_connection_that_was_just_lost_fails_as_kafka_s(settings: Settings, new_loop: Loop, turns: int) -> None:
    async def losing() -> None:
        host, _, port = settings.kafka.bootstrap.partition(":")
        connection = await create_conn(host, int(port))
        assert await connection.send(MetadataRequest([]))
        connection._writer.transport.abort()
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([]))
        assert not connection.connected()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(losing())
