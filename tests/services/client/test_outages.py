"""A server that is away: what is told within ten seconds, and that the same client goes on afterwards."""

import time

import pytest

from ledger import Ledger, Misconfigured, Settings, Unavailable
from ledger.client.errors import Undecided
from ledger.kafka.opening import LogIdentity
from ledger.stack import Stack
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
