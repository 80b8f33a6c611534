"""Locks over several real servers: by majority, whatever becomes of the others."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from ledger.config import Settings
from ledger.config.settings import Limits
from ledger.config.settings import Redis as RedisSettings
from ledger.stack.probes import valkey_answers
from ledger.stack.valkey import binary
from processors.runner.lock_servers import LockServers
from processors.runner.locks import BlockingLocks, RedisLocks
from processors.servers import look_at
from tests.unit.runner.runner_fakes import World, offer, record_of

LONG = 20.0  # a server that lives has a second to answer, also where the machine is busy
SHORT = 3.0
ADA, BOB = [("lock:a", "512 ada")], [("lock:a", "513 bob")]


@dataclass
class Servers:
    """Three Valkeys that know nothing of each other."""

    folder: Path
    ports: list[int] = field(default_factory=list)
    processes: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict)

    async def begin(self) -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        for nth in range(3):
            self.start(nth)
        for port in self.ports:
            async with asyncio.timeout(10):
                while not await valkey_answers("127.0.0.1", port):  # noqa: ASYNC110  # it cannot tell us
                    await asyncio.sleep(0.02)

    def start(self, nth: int) -> None:
        words = ("--port", str(self.ports[nth]), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder))
        self.processes[nth] = subprocess.Popen([binary(), *words], stdout=subprocess.DEVNULL)

    def kill(self, nth: int) -> None:
        process = self.processes.pop(nth)
        process.kill()
        process.wait()

    def url(self, nth: int) -> str:
        return f"redis://127.0.0.1:{self.ports[nth]}/0"

    def values(self, key: str = "lock:a") -> list[bytes | None]:
        """What stands on those that live."""
        found = []
        for nth in sorted(self.processes):
            with Redis.from_url(self.url(nth)) as one:
                found.append(one.get(key))
        return found

    def write(self, nth: int, value: str) -> None:
        with Redis.from_url(self.url(nth)) as one:
            one.set("lock:a", value, px=60_000)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    made = Servers(tmp_path)
    await made.begin()
    yield made
    for nth in list(made.processes):
        made.kill(nth)


@asynccontextmanager
async def leased(servers: Servers, lease: float) -> AsyncIterator[LockServers]:
    """The one Redis of everything else is not among them."""
    nowhere = "redis://127.0.0.1:1/0"
    urls = [SecretStr(servers.url(nth)) for nth in range(3)]
    settings = Settings(redis=RedisSettings(url=SecretStr(nowhere), lock_urls=urls), limits=Limits(lease=lease))
    made = LockServers(settings, AsyncRedis.from_url(nowhere), Redis.from_url(nowhere))
    yield made
    await made.close()


@pytest.fixture
async def made(servers: Servers) -> AsyncIterator[LockServers]:
    async with leased(servers, LONG) as made:
        yield made


@pytest.fixture
def locks(made: LockServers) -> RedisLocks:
    return made.locks()


@pytest.fixture
def renewals(made: LockServers) -> BlockingLocks:
    return made.renewals()


async def test_a_lock_stands_on_all_of_them_and_is_taken_away_by_its_value(servers: Servers, locks: RedisLocks) -> None:
    verdicts, until = await locks.take(ADA)
    assert verdicts == ["held"] and until > 0
    assert servers.values() == [b"512 ada"] * 3
    assert (await locks.take(ADA))[0] == ["held"]
    assert (await locks.take(BOB))[0] == ["busy"]
    await locks.let_go(BOB)
    assert servers.values() == [b"512 ada"] * 3
    await locks.let_go(ADA)
    assert servers.values() == [None] * 3


async def test_of_many_that_want_it_at_once_at_most_one_holds_it(made: LockServers) -> None:
    for _ in range(20):
        wanted = [[("lock:a", f"{512 + nth} w{nth}")] for nth in range(5)]
        taken = await asyncio.gather(*(made.locks().take(one) for one in wanted))
        held = [one for one, (verdicts, _) in zip(wanted, taken, strict=True) if verdicts == ["held"]]
        assert len(held) <= 1
        await made.locks().let_go([pair for one in wanted for pair in one])


async def test_with_one_of_three_dead_everything_goes_on(servers: Servers, locks: RedisLocks, renewals: BlockingLocks) -> None:
    servers.kill(1)
    assert (await locks.take(ADA))[0] == ["held"]
    assert (await locks.take(BOB))[0] == ["busy"]
    assert (await asyncio.to_thread(renewals.renew, ADA))[0] == ["held"]
    await locks.let_go(ADA)
    assert servers.values() == [None] * 2


async def test_with_two_of_three_dead_nothing_is_known_and_nothing_is_left(
    servers: Servers, locks: RedisLocks, renewals: BlockingLocks
) -> None:
    servers.kill(0)
    servers.kill(2)
    assert (await locks.take(ADA))[0] == ["unknown"]
    assert servers.values() == [None]
    assert (await asyncio.to_thread(renewals.renew, ADA))[0] == ["unknown"]


async def test_what_another_has_on_one_of_them_changes_nothing_and_on_two_refuses(
    servers: Servers, locks: RedisLocks, renewals: BlockingLocks
) -> None:
    servers.write(0, "513 bob")
    assert (await locks.take(ADA))[0] == ["held"]
    servers.write(1, "513 bob")
    assert (await asyncio.to_thread(renewals.renew, ADA))[0] == ["busy"]
    assert (await locks.take(ADA))[0] == ["busy"]
    assert servers.values() == [b"513 bob", b"513 bob", None]


async def test_a_server_that_came_back_empty_is_written_anew_by_the_next_renewal(
    servers: Servers, locks: RedisLocks, renewals: BlockingLocks
) -> None:
    assert (await locks.take(ADA))[0] == ["held"]
    with Redis.from_url(servers.url(2)) as one:
        one.flushall()
    assert (await asyncio.to_thread(renewals.renew, ADA))[0] == ["held"]
    assert servers.values() == [b"512 ada"] * 3


async def test_readyz_tells_of_one_that_is_dead_and_a_worker_is_not_ready_with_two(settings: Settings, servers: Servers) -> None:
    urls = [SecretStr(servers.url(nth)) for nth in range(3)]
    named = settings.model_copy(update={"redis": RedisSettings(url=settings.redis.url, lock_urls=urls)})

    async def looked() -> dict[str, tuple[bool, str]]:
        return {one.name: (one.suffice, str(one)) for one in await look_at(named)()}

    assert await looked() == {"kafka": (True, "answers"), "redis": (True, "answers"), "locks": (True, "all 3 answer")}
    servers.kill(1)
    assert (await looked())["locks"] == (True, f"no answer from {servers.url(1)} (ConnectionError); 2 of 3 answer")
    servers.kill(2)
    is_ready, words = (await looked())["locks"]
    assert not is_ready and words.endswith("; 1 of 3 answer")


# A worker whose locks are there; its claims and control are in memory


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    async with leased(servers, SHORT) as made:
        world = World(limits=Limits(slots=10, shutdown_grace=0.2, lease=SHORT), guarded_by=(made.locks(), made.renewals()))
        yield world
        await world.end()


async def test_a_worker_starts_and_goes_on_with_one_dead_and_does_neither_with_two(servers: Servers, world: World) -> None:
    ended = asyncio.Event()

    async def sync(data: int) -> None:
        if data:
            await ended.wait()

    world.jobs.job("sync")(sync)
    servers.kill(0)
    runner = world.begin()
    runner.take(record_of(offer(2, data=0, key="key:sync:a"), offer(4, data=1, key="key:sync:b")))
    await world.sender.until(lambda: [end.outcome for end in world.sender.ends] == ["completed"])
    renewing = asyncio.create_task(renew(world))
    servers.kill(1)
    await world.sender.until(lambda: len(world.sender.ends) == 2, 30)
    assert world.sender.ends[1].outcome == "handed_back"
    runner.take(record_of(offer(6, data=0, key="key:sync:c")))
    await world.sender.until(lambda: world.sender.returned == {"locked": [offer(6).execution_id]}, 30)
    renewing.cancel()


async def renew(world: World) -> None:
    """As the lease's thread does it."""
    while True:
        await asyncio.to_thread(world.runner.renew_locks)
        await asyncio.sleep(SHORT / 3)
