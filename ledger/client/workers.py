"""`ledger.workers`: who works now, by the signs of life in Redis and what the tables say runs; and how a worker is asked to go."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core.refusal import Refused, Unavailable
from ledger.core.workers import ASKED_FOR_MS, DRAIN, About, decode_about
from ledger.handlers import near_miss
from projections.rows import Execution, ExecutionFilter

CALL: Final = 5.0  # seconds
LOOK: Final = 0.2
AT_A_TIME: Final = 500
RUNNING: Final = ("active", "processing")

State = Literal["working", "draining", "gone"]


@dataclass(frozen=True, slots=True)
class Worker:
    """A runner process. "gone": it has no sign of life, and the tables still say that it runs something."""

    worker: str
    state: State
    queue: str | None
    running: int
    slots: int | None
    since: datetime | None
    version: str | None
    host: str | None
    pid: int | None
    jobs: dict[str, int]


class Workers:
    """Raises, everywhere: `Unavailable` where Redis or Postgres is away."""

    def __init__(self, settings: Settings, tables: Tables, actor: str | None) -> None:
        self._settings = settings
        self._tables = tables
        self._actor = actor

    async def list(self, *, queue: str | None = None) -> Sequence[Worker]:
        """By queue and name. Those that are gone last: control is about to give their executions to others."""
        async with self._redis() as redis:
            known = await self._known(redis)
        running = await (await self._tables.reads()).running_by_worker()
        alive = [_worker(name, about) for name, about in known.items()]
        gone = [_gone(name, one.queue, one.running) for name, one in running.items() if name not in known]
        found = [*sorted(alive, key=lambda one: (one.queue or "", one.worker)), *sorted(gone, key=lambda one: one.worker)]
        return [one for one in found if queue is None or one.queue == queue]

    async def get(self, worker: str) -> Worker:
        """Raises `Refused` if there is no such worker."""
        found = {one.worker: one for one in await self.list()}
        if worker not in found:
            raise Refused("unknown_worker", f"no worker is called {worker}{near_miss(worker, list(found))}: `jobledger workers list`")
        return found[worker]

    async def running(self, worker: str, *, limit: int = 200) -> Sequence[Execution]:
        """What it performs, as far as the tables know."""
        reads = await self._tables.reads()
        return (await reads.executions(ExecutionFilter(state=RUNNING, worker=worker), limit=limit)).items

    async def drain(self, worker: str) -> Worker:
        """Ask it to take no more, to let what runs end in its own time, and then to go, not to be started again. Returns once it has
        heard of it, or after a lease. Raises `Refused` if there is no such worker."""
        one = await self.get(worker)
        if one.state == "gone":
            raise Refused("unknown_worker", f"{worker} is gone already: what it ran is given to others")
        async with self._redis() as redis:
            await redis.set(self._settings.redis_key(DRAIN, worker), self._actor or "-", px=ASKED_FOR_MS)
            return await self._until(redis, one, self._settings.limits.lease, draining=True)

    async def until_gone(self, worker: Worker, timeout: float | None = None) -> Worker:
        """Wait until it has gone, or so many seconds."""
        async with self._redis() as redis:
            return await self._until(redis, worker, timeout, draining=False)

    async def _until(self, redis: "Redis", worker: Worker, timeout: float | None, *, draining: bool) -> Worker:
        try:
            async with asyncio.timeout(timeout):
                while True:
                    value = await redis.get(self._settings.redis_key("worker", worker.worker))
                    if not isinstance(value, bytes):
                        return replace(worker, state="gone", running=0)
                    worker = _worker(worker.worker, decode_about(value))
                    if draining and worker.state == "draining":
                        return worker
                    await asyncio.sleep(LOOK)  # between two looks
        except TimeoutError:
            return worker

    async def _known(self, redis: "Redis") -> dict[str, About]:
        prefix = self._settings.redis_key("worker", "")
        keys = [key async for key in redis.scan_iter(f"{prefix}*", count=1000)]
        found: dict[str, About] = {}
        for first in range(0, len(keys), AT_A_TIME):
            some = keys[first : first + AT_A_TIME]
            for key, value in zip(some, await redis.mget(some), strict=True):
                if isinstance(value, bytes):
                    found[key.decode().removeprefix(prefix)] = decode_about(value)
        return found

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator["Redis"]:
        url = self._settings.redis.url.get_secret_value()
        redis = Redis.from_url(url, socket_timeout=CALL, socket_connect_timeout=CALL, retry=Retry(NoBackoff(), 0))
        try:
            yield redis
        except (RedisError, OSError) as error:
            place = redis.connection_pool.connection_kwargs
            where = f"{place.get('host', '?')}:{place.get('port', '?')}"
            raise Unavailable(f"Redis at {where} does not answer ({error}): is it running? `redis.url` says where it is") from error
        finally:
            await redis.aclose()


def _worker(name: str, about: About) -> Worker:
    since = datetime.fromtimestamp(about.since, UTC) if about.since else None
    state: State = "draining" if about.draining else "working"
    return Worker(name, state, about.queue, about.running, about.slots, since, about.version, about.host, about.pid, about.jobs)


def _gone(name: str, queue: str, running: int) -> Worker:
    return Worker(name, "gone", queue, running, None, None, None, None, None, {})
