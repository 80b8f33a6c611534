"""The control process: which actors live here, what they share, and what looks after them."""

import asyncio
import time

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.config import Settings
from ledger.core.ids import WorkerId
from ledger.core.refusal import Conflict, Misconfigured, Unavailable
from ledger.kafka.opening import check_identity
from ledger.spread import spread
from processors import seam
from processors.broker_clock import BrokerClock
from processors.control.appender import Appender
from processors.control.dead_letters import DeadLetters
from processors.control.edges import Edges
from processors.control.facts import Facts
from processors.control.partition_actor import PartitionActor
from processors.control.registry_actor import RegistryActor
from processors.control.rescue import Rescuer
from processors.control.work import Work
from processors.crash import or_crash

log = structlog.get_logger(__name__)
HEAL_EVERY = 0.5  # seconds

AnyActor = PartitionActor | RegistryActor


class Control:
    """Implements `seam.Positions`. One lock: assignments may come again while one is under way."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.commands = settings.topic("commands")
        self.registry_commands = settings.topic("registry-commands")
        self._partitions_of = {self.commands: settings.partitions, self.registry_commands: 1}  # of the log; a topic may have got more
        self.actors: dict[tuple[str, int], AnyActor] = {}
        self.app: seam.App = seam.build_app(
            "control",
            settings,
            {self.commands: self.take, self.registry_commands: self.take},
            positions=self,
            early=self.begin,
            background=self.look_after,
            on_stopping=self.stop,
        )
        self.assignments = 0
        self._generation: int | None = None
        self._lock = asyncio.Lock()
        self._edges: Edges | None = None
        self._snapshot_appender = Appender(settings)
        self._facts = Facts(settings, self._snapshot_appender)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_ready(self) -> bool:
        """Faust gave this process its partitions, maybe none."""
        return self.assignments > 0

    @property
    def stuck_since(self) -> float | None:
        """Since when an actor has work and makes no progress. The watchdog's thread asks, while actors come and go."""
        return min((actor.progress_at for actor in list(self.actors.values()) if actor.is_behind), default=None)

    @property
    def stopped(self) -> int:
        """How many partitions wait for somebody who repairs the log. The watchdog's thread asks this, too."""
        return sum(actor.stopped is not None for actor in list(self.actors.values()))

    # Called by the seam

    async def begin(self) -> None:
        """The registry can be folded while the broker still waits for the group's dead member. What stands in the way now, a log that is
        not there yet for one, is a matter of the assignment that comes."""
        try:
            async with self._lock:
                await self._started()
        except (Misconfigured, Conflict, Unavailable) as error:
            log.warning("the log cannot be read yet", action="control.early", error=str(error))
        else:
            log.info("control has begun", action="control.begun")

    def take(self, record: seam.Record) -> None:
        actor = self.actors.get((record.topic, record.partition))
        if actor is not None:
            actor.take(record)

    async def assigned(self, partitions: set[tuple[str, int]], generation: int) -> None:
        async with self._lock:
            edges = await self._started()
            self.assignments += 1
            log.info("partitions are assigned", action="control.assigned", count=len(partitions), generation=generation)
            fresh = generation != self._generation
            self._generation = generation
            await self._end({one for one in self.actors if fresh or one not in partitions})
            for topic, number in partitions:
                known = self.actors.get((topic, number))
                if known is not None:
                    known.seek_again()
                elif number < self._partitions_of[topic]:
                    self._begin(edges, topic, number)
                else:
                    log.error(
                        "somebody added partitions to this topic, and the log has none for them: what is sent there is not read",
                        action="control.beyond",
                        topic=topic,
                        partition=number,
                        do=f"let all clients send to the first {self._partitions_of[topic]} alone, or move the log (docs/backup.md)",
                    )

    async def revoked(self, partitions: set[tuple[str, int]]) -> None:
        async with self._lock:
            await self._end(partitions & self.actors.keys())

    def _begin(self, edges: Edges, topic: str, number: int) -> None:
        actor: AnyActor
        if topic == self.registry_commands:
            actor = RegistryActor(edges, self._facts)
        else:
            actor = PartitionActor(edges, number, self._facts, self._work, self._snapshot_appender)
        self.actors[topic, number] = actor
        actor.start()

    async def _end(self, partitions: set[tuple[str, int]]) -> None:
        ended = [self.actors.pop(one) for one in partitions]
        await asyncio.gather(*(actor.end() for actor in ended))

    async def _started(self) -> Edges:
        if self._edges is None:
            identity = await check_identity(self.settings)
            self._work = Work(self.settings)
            self._edges = Edges(
                self.settings,
                identity,
                BrokerClock(),
                Redis.from_url(self.settings.redis.url.get_secret_value(), socket_timeout=2.0, socket_connect_timeout=2.0),
                self._seek,
                lambda topic, partition: seam.end_of(self.app, topic, partition),
                DeadLetters(self.settings),
                Appender(self.settings),
            )
            self._tasks.append(asyncio.create_task(or_crash(lambda: self._facts.follow(identity))()))
        return self._edges

    async def _seek(self, topic: str, partition: int, offset: int) -> None:
        await seam.seek(self.app, topic, partition, offset)

    # Looking after the actors

    async def look_after(self) -> None:
        """Runs beside Faust: the rescuer, its ears, and the healing of offers."""
        async with self._lock:
            edges = await self._started()
        await asyncio.gather(self._rescue(edges), self._hear(edges), self._heal())

    def _partitions(self) -> list[PartitionActor]:
        return [actor for actor in self.actors.values() if isinstance(actor, PartitionActor) and actor.ready]

    async def _rescue(self, edges: Edges) -> None:
        lease = self.settings.limits.lease
        self._rescuer = Rescuer(lease)
        while True:
            await asyncio.sleep(min(0.5, lease / 6))
            wanted = {worker for actor in self._partitions() for worker in actor.fold.workers}
            try:
                present = await self._present(edges.redis, wanted)
            except (RedisError, OSError, TimeoutError):
                self._rescuer.unreachable()
                continue
            for worker in self._rescuer.sample(wanted, present, time.monotonic()):
                log.warning("worker is lost", action="worker.lost", worker=worker)
                for actor in self._partitions():
                    actor.lose(worker)

    async def _present(self, redis: Redis, workers: set[WorkerId]) -> set[WorkerId]:
        if not workers:
            await redis.ping()
            return set()
        names = list(workers)
        values = await redis.mget([self.settings.redis_key("worker", name) for name in names])
        return {name for name, value in zip(names, values, strict=True) if value is not None}

    async def _hear(self, edges: Edges) -> None:
        """Renewals are published too, so that a key between two looks is not missed."""
        while True:
            try:
                async with edges.redis.pubsub() as ear:
                    await ear.subscribe(self.settings.redis_key("renewals"))
                    while True:
                        message = await ear.get_message(ignore_subscribe_messages=True, timeout=1.0)
                        if message is not None and isinstance(message["data"], bytes):
                            self._rescuer.heard(WorkerId(message["data"].decode(errors="replace")), time.monotonic())
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(spread(0.5))

    async def _heal(self) -> None:
        while True:
            await asyncio.sleep(HEAL_EVERY)
            for one in self.actors.values():
                one.look_at_end()
            queues = set[str]().union(*(actor.dispatch.queues_in_doubt() for actor in self._partitions()))
            passed, ends = await self._work.passed(queues), await self._work.known_ends(queues)
            for actor in self._partitions():
                actor.heal(passed, ends)

    async def stop(self) -> None:
        """Before Faust stops: nothing is decided any more."""
        async with self._lock:
            await self._end(set(self.actors))
            for task in self._tasks:
                task.cancel()
            if self._edges is not None:
                await asyncio.gather(
                    self._work.stop(), self._snapshot_appender.stop(), self._edges.dead_letters.stop(), self._edges.forwards.stop()
                )
                await self._edges.redis.aclose()
