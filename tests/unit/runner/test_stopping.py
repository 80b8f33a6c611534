"""The end of a runner's process, whose servers may be silent: it comes before the supervisor kills it."""

import asyncio
import time
from typing import NoReturn, cast

from aiokafka import AIOKafkaProducer
from redis import Redis

from ledger.config import Settings
from processors.broker_clock import BrokerClock
from processors.runner.lease import Lease
from processors.runner.process import CLOSING, RunnerProcess
from processors.runner.runner import FLUSH, LAST_WORDS
from processors.runner.sender import KafkaSender
from processors.runner.submits import Submits
from processors.supervisor import SETTLE
from tests.unit.runner.runner_fakes import WORKER, FakeClient, World


class SilentRedis:
    """As the connection of a lease is, a second for each call."""

    def _wait(self, *arguments: object) -> NoReturn:
        time.sleep(1.0)
        raise OSError("timed out")

    eval = exists = delete = _wait


class SilentProducer:
    async def start(self) -> None: ...

    async def stop(self) -> None:
        await asyncio.Event().wait()

    @property
    def client(self) -> "SilentProducer":
        return self

    _sender = client

    async def close(self) -> None:
        await asyncio.Event().wait()


class SilentClient(FakeClient):
    async def opening(self) -> "SilentClient":
        return self

    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_what_is_let_go_of_takes_its_time_together(world: World) -> None:
    world.jobs.job("sync")(lambda: None)
    settings = Settings.model_validate({"limits": world.limits})
    process = RunnerProcess(settings, "default", world.jobs, world.bugs.append)
    process._runner = world.begin()
    process._lease = Lease(cast("Redis", SilentRedis()), settings, WORKER, lambda: b"", list, lambda: None)
    process._lease.begin()
    process._sender = KafkaSender(settings, BrokerClock(), producers=lambda _: cast("AIOKafkaProducer", SilentProducer()))
    await process._sender._lasting.started(1)
    process._submits = Submits(SilentClient().opening)
    process._submits._opening = asyncio.ensure_future(SilentClient().opening())
    began = time.monotonic()
    await process.stop()
    assert time.monotonic() - began < CLOSING + 1


def test_a_runner_ends_before_it_is_killed() -> None:
    assert LAST_WORDS + FLUSH + CLOSING < SETTLE
