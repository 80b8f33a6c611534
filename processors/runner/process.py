"""A runner as a process of its own: its connections, its worker id, and its life under Faust."""

import asyncio
import gc
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog
from msgspec import structs
from redis.exceptions import RedisError

from ledger.config import Settings
from ledger.core.ids import WorkerId
from ledger.core.refusal import Misconfigured
from ledger.core.workers import About, encode_about
from ledger.handlers import Jobs, RunIn, near_miss
from ledger.version import __version__
from processors.broker_clock import BrokerClock
from processors.pulse import EXIT_DRAINED
from processors.runner.children import Children, Command
from processors.runner.claims import RedisClaims
from processors.runner.connections import blocking_connection_to, connection_to
from processors.runner.edges import MOST_THREADS, Edges
from processors.runner.guards import MARGIN
from processors.runner.in_process import InProcess
from processors.runner.lease import Lease
from processors.runner.limits import limits_of_handlers
from processors.runner.lock_servers import LockServers
from processors.runner.orders import listen
from processors.runner.perform import InThread, Perform, in_task
from processors.runner.places import BlockingHolders, RedisHolders
from processors.runner.resolve import in_process
from processors.runner.runner import Runner
from processors.runner.sender import KafkaSender
from processors.runner.submits import Submits, Submitting, client_of
from processors.runner.take import Record

log = structlog.get_logger(__name__)
EXIT_STUCK: Final = 75  # ended because only that ends the code that runs; the supervisor starts it again
LONGEST_REDIS_CALL: Final = 2.0  # seconds
LONGEST_RENEWAL: Final = 1.0
MEGABYTE: Final = 1024 * 1024
CLOSING: Final = 3.0  # seconds, at the end, for servers that may be silent; with what `drain` takes less than the supervisor waits
LONGEST_PATIENCE: Final = 1.0  # seconds for code in a process that was asked to stop, before it is killed


class RunnerProcess:
    """`take`, `run` and `stop` are given to Faust. `bug` ends the process; so does `stop`, if code does not end otherwise.

    `children`: how processes for handlers with `run_in="process"` are started."""

    def __init__(
        self, settings: Settings, queue: str, jobs: Jobs, bug: Callable[[BaseException], None], children: Command | None = None
    ) -> None:
        if queue not in settings.queues:
            raise Misconfigured(f"there is no queue {queue!r} in the settings{near_miss(queue, list(settings.queues))}")
        if not len(jobs):
            raise Misconfigured("no handler is declared: a worker without handlers could only give every offer back")
        self.worker = new_worker_id()
        self._settings = settings
        self._queue = queue
        self._jobs = jobs
        self._bug = bug
        self._early: list[Record] = []
        self._runner: Runner | None = None
        self._lease: Lease | None = None
        self._sender: KafkaSender | None = None
        self._submits: Submits | None = None
        self._threads = ThreadPoolExecutor(min(settings.limits.slots, MOST_THREADS), thread_name_prefix="job")
        self._children = None if children is None else Children(replace(children, memory=settings.limits.process_memory_mb * MEGABYTE))
        self._stuck = False
        self._finishing: asyncio.Task[None] | None = None
        self._known = About(
            queue,
            socket.gethostname(),
            os.getpid(),
            settings.limits.slots,
            time.time(),
            __version__,
            {one.name: one.version for one in jobs},
            limits_of_handlers(jobs),
        )

    @property
    def topic(self) -> str:
        return self._settings.topic(f"work.{self._queue}")

    @property
    def has_begun(self) -> bool:
        return self._runner is not None

    def take(self, record: Record) -> None:
        if self._runner is None:
            self._early.append(record)
        else:
            self._runner.take(record)

    async def run(self) -> None:
        """Until it is cancelled."""
        url, call = self._settings.redis.url.get_secret_value(), min(LONGEST_RENEWAL, self._settings.limits.lease / 3)
        connection, renewing = connection_to(url, LONGEST_REDIS_CALL), blocking_connection_to(url, call)
        loop, clock = asyncio.get_running_loop(), BrokerClock()
        runner: Runner

        def lease_changed() -> None:
            loop.call_soon_threadsafe(runner.wake)

        def drain() -> None:
            loop.call_soon_threadsafe(self._finish)

        lease = Lease(
            renewing,
            self._settings,
            self.worker,
            self._about,
            lambda: runner.held_claims(),
            lease_changed,
            lambda: runner.renew_locks(),
            drain,
        )
        locks = LockServers(self._settings, connection, renewing)
        sender = KafkaSender(self._settings, clock)
        claims = RedisClaims(connection, self._settings, self.worker)
        ways: dict[RunIn, Perform] = {"async": in_task, "thread": InThread(self._threads)}
        if self._children is not None:
            patience = min(LONGEST_PATIENCE, self._settings.limits.shutdown_grace / 2, self._settings.limits.lease * MARGIN / 2)
            ways["process"] = InProcess(self._children, patience)
        self._submits = submits = Submits(client_of(self._settings, self._jobs))
        edges = Edges(
            claims,
            lease,
            sender,
            clock,
            {how: Submitting(way, submits) for how, way in ways.items()},
            self._bug,
            self._has_stuck,
            overrun,
            locks=locks.locks(),
            renewals=locks.renewals(),
            holders=RedisHolders(connection),
            held_renewals=BlockingHolders(renewing, self._settings.limits.lease),
        )
        runner = Runner(self._settings, self._queue, self._jobs, self.worker, edges)
        self._runner, self._lease, self._sender = runner, lease, sender
        lease.begin()
        log.info(
            "the runner has begun", action="runner.begun", worker=self.worker, queue=self._queue, jobs=[one.name for one in self._jobs]
        )
        for record in self._early:
            runner.take(record)
        self._early.clear()
        spare_the_collector()
        warming = asyncio.create_task(self._warm())
        orders, hints = self._settings.redis_key("orders", self.worker), self._settings.redis_key("work", self._queue)
        listening = asyncio.create_task(listen(connection, orders, runner.obey, hints, runner.hear))
        try:
            await runner.run()
        finally:
            listening.cancel()
            warming.cancel()
            with suppress(RedisError, OSError):
                await connection.aclose()
            await locks.close()

    async def _warm(self) -> None:
        if self._children is not None and any(in_process(one) for one in self._jobs):
            await self._children.warm()

    def _about(self) -> bytes:
        """Asked for at each renewal, from the thread of the lease."""
        running = 0 if self._runner is None else self._runner.running
        return encode_about(structs.replace(self._known, running=running, draining=self.is_drained))

    @property
    def is_drained(self) -> bool:
        """Somebody asked it to go."""
        return self._finishing is not None

    def _finish(self) -> None:
        if self._finishing is None and self._runner is not None:
            log.warning("this worker was asked to go: it takes no more, and ends when what runs has ended", action="runner.draining")
            self._finishing = asyncio.get_running_loop().create_task(self._runner.finish())
            self._finishing.add_done_callback(self._has_finished)

    def _has_finished(self, finishing: asyncio.Task[None]) -> None:
        if finishing.cancelled():
            return
        if (error := finishing.exception()) is not None:
            self._bug(error)
        os.kill(os.getpid(), signal.SIGTERM)

    def _has_stuck(self) -> None:
        """Ask ourselves to end as anybody else would, once."""
        if not self._stuck:
            self._stuck = True
            os.kill(os.getpid(), signal.SIGTERM)

    async def stop(self) -> None:
        """Drain, and let go of everything. Does not return if code of a user goes on: then it ends the process."""
        if self._runner is None or self._lease is None or self._sender is None:
            return
        all_ended = await self._runner.drain()
        closing: list[Awaitable[None]] = [asyncio.to_thread(self._lease.end), self._sender.stop()]
        if self._submits is not None:
            closing.append(self._submits.close())
        if self._children is not None:
            closing.append(self._children.end())
        try:
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*closing)
        except TimeoutError:
            log.warning("connections were left open: their servers do not answer", action="runner.left")
        log.info("the runner has ended", action="runner.ended", worker=self.worker, all_ended=all_ended)
        if not all_ended:
            os._exit(EXIT_DRAINED if self.is_drained else EXIT_STUCK if self._stuck else 0)
        self._threads.shutdown(wait=False, cancel_futures=True)


def overrun() -> None:
    """As `kill -9` would: the children end with us, and control hears nothing more of what ran here."""
    os._exit(EXIT_STUCK)


def new_worker_id() -> WorkerId:
    """New at each start: what a former process of this host said is not taken for this one's."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:60]
    return WorkerId(f"{host}-{os.getpid()}-{secrets.token_hex(4)}")


def spare_the_collector() -> None:
    """What is loaded now stays, and attempts are freed without the collector: let it look less often. Worth a third of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
