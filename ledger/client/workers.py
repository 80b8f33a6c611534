"""`ledger.workers`: who works now, by the signs of life in Redis and what the tables say runs; and how a worker is asked to go."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from redis.asyncio import Redis

from ledger.client.redis_reads import open_redis, workers_alive
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core.refusal import Refused
from ledger.core.workers import ASKED_FOR_MS, DRAIN, About, decode_about
from ledger.handlers import near_miss
from projections.rows import Execution, ExecutionFilter

LOOK: Final = 0.2  # seconds
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
        async with open_redis(self._settings) as redis:
            known = await workers_alive(self._settings, redis)
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
        async with open_redis(self._settings) as redis:
            await redis.set(self._settings.redis_key(DRAIN, worker), self._actor or "-", px=ASKED_FOR_MS)
            return await self._until(redis, one, self._settings.limits.lease, draining=True)

    async def until_gone(self, worker: Worker, timeout: float | None = None) -> Worker:
        """Wait until it has gone, or so many seconds."""
        async with open_redis(self._settings) as redis:
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


def _worker(name: str, about: About) -> Worker:
    since = datetime.fromtimestamp(about.since, UTC) if about.since else None
    state: State = "draining" if about.draining else "working"
    return Worker(name, state, about.queue, about.running, about.slots, since, about.version, about.host, about.pid, about.jobs)


def _gone(name: str, queue: str, running: int) -> Worker:
    return Worker(name, "gone", queue, running, None, None, None, None, None, {})
