"""A server that is away: what is told within ten seconds, and that the same client goes on afterwards."""

import time

import pytest

from ledger import Ledger, Misconfigured, Settings, Unavailable
from ledger.client.errors import Undecided
from ledger.core.pause import Pause
from ledger.kafka.opening import LogIdentity
from ledger.stack import Stack
from projections import schema
from projections.builtin import TABLES
from projections.connecting import connect
from projections.places import sources
from projections.positions import PositionRows
from tests.services.client.conftest import System
from tests.services.client.shop import Order


async def test_without_topics_it_says_what_to_do(settings: Settings) -> None:
    async with Ledger.connect(settings, patience=3) as ledger:
        with pytest.raises(Misconfigured, match="jobledger topics apply"):
            await ledger.submit("bill")


async def test_without_control_it_says_so(settings: Settings, opened: LogIdentity) -> None:
    async with Ledger.connect(settings) as ledger:
        with pytest.raises(Undecided, match="jobledger worker"):
            await ledger.submit("bill", timeout=2)


async def test_where_its_partition_stopped_it_says_so_and_why(settings: Settings, opened: LogIdentity) -> None:
    schema.upgrade(settings)
    positions = PositionRows(settings.database.table_schema, TABLES)
    with connect(settings) as connection:
        for source in sources(opened):
            positions.create(connection, source)
            positions.stop(connection, source, f"the chain of {source[0]} is broken")
    async with Ledger.connect(settings) as ledger:
        with pytest.raises(Undecided, match=rf"as {settings.prefix}\.events\.v1\[\d\] stopped; .* the chain of events is broken"):
            await ledger.submit("bill", timeout=1)
        with pytest.raises(Undecided, match=rf"as {settings.prefix}\.registry\.v1\[0\] stopped; .* the chain of registry is broken"):
            await ledger.act(Pause("c1", "queue", "default"), timeout=1)


async def test_redis_away_the_tables_tell_the_decision(system: System, stack: Stack, ledger: Ledger) -> None:
    await ledger.submit("bill", Order(number=1))
    stack.kill("valkey")
    try:
        execution = await ledger.submit("bill", Order(number=2), timeout=30)
    finally:
        stack.restart("valkey")
    assert await execution.result(60) == {"billed": 2}


async def test_kafka_away_is_told_by_its_address_and_then_the_same_client_goes_on(system: System, stack: Stack) -> None:
    async with Ledger.connect(system.settings, patience=4) as ledger:
        await ledger.submit("bill", Order(number=1))
        stack.kill("kafka")
        try:
            began = time.monotonic()
            with pytest.raises(Unavailable, match=stack.kafka):
                await ledger.submit("bill", Order(number=2))
            with pytest.raises(Unavailable, match=stack.kafka):
                await ledger.submit_many([("bill", {"number": 3})])
            assert time.monotonic() - began < 20
        finally:
            stack.restart("kafka")
        execution = await ledger.submit("bill", Order(number=4), timeout=60)
        assert await execution.result(60) == {"billed": 4}
