"""The world of a runner, in memory: claims, a sender that keeps what it is given, and a sign of life that can be taken away."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec

from ledger.config import Settings
from ledger.config.settings import Limits
from ledger.context import Submitted
from ledger.core import wire
from ledger.core.execution import Report
from ledger.core.ids import ExecutionId, Token, WorkerId
from ledger.core.limits import Limit
from ledger.core.offers import Offer, Offers
from ledger.core.options import Options
from ledger.core.orders import Order
from ledger.core.refusal import Unavailable
from ledger.core.request import Return, Submit
from ledger.handlers import Jobs, RunIn
from processors.broker_clock import BrokerClock
from processors.runner.attempt import Attempt
from processors.runner.claims import NO_LIMITS
from processors.runner.claims import Verdict as Claimed
from processors.runner.edges import MOST_THREADS, Edges
from processors.runner.limited_claims import Refused
from processors.runner.locks import Locks, Renewals, Verdict, Wanted
from processors.runner.perform import InThread, Perform, in_task
from processors.runner.places import Places
from processors.runner.runner import Runner
from processors.seam import Record

WORKER = WorkerId("worker-1")


def offer(
    nth: int,
    job: str = "sync",
    *,
    version: int = 1,
    attempt: int = 1,
    data: object = None,
    options: Options | None = None,
    key: str | None = None,
    tenant: str | None = None,
) -> Offer:
    """`key`: it excludes others of this key."""
    execution_id, encoded = ExecutionId(f"{nth:032x}-{nth % 2}"), msgspec.Raw(msgspec.json.encode(data))
    return Offer(execution_id, Token(512 + nth), attempt, job, job, version, encoded, options, tenant, exclusive_key=key)


def attempt_of(one: Offer, arrived: float = 0.0, offered_ms: int = 0) -> Attempt:
    return Attempt(one, int(one.execution_id[-1]), f"claim:{one.execution_id}:{one.token}", offered_ms, arrived)


def record_of(*offers: Offer, appended_ms: int | None = None, partition: int | None = None) -> Record:
    home = int(offers[0].execution_id[-1]) if partition is None else partition
    appended = time.time_ns() // 1_000_000 if appended_ms is None else appended_ms
    return Record("work", 0, 0, appended, wire.encode(Offers(home, offers)))


@dataclass
class FakeClaims:
    """Gives every claim to this worker, unless told otherwise."""

    others: set[str] = field(default_factory=set)
    mine: set[str] = field(default_factory=set)
    batches: list[list[str]] = field(default_factory=list)
    again: list[list[int]] = field(default_factory=list)
    let_gone: list[str] = field(default_factory=list)
    away: bool = False
    forgets_to_answer: int = 0  # so many times the claims are taken, and the answer is lost
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    places: dict[str, set[str]] = field(default_factory=dict)  # who holds one, by limit
    waits: dict[str, float] = field(default_factory=dict)  # limits whose rate is reached for so long

    async def claim(self, keys: Sequence[str], again: Sequence[int] = (), limits: Sequence[Sequence[Limit]] = NO_LIMITS) -> list[Claimed]:
        self.asked.set()
        if self.away:
            raise Unavailable("no Redis answers")
        self.batches.append(list(keys))
        self.again.append(list(again))
        wanted = limits or [()] * len(keys)
        verdicts = [self._claim(key, bounds) for key, bounds in zip(keys, wanted, strict=True)]
        self.mine.update(key for key, verdict in zip(keys, verdicts, strict=True) if verdict == "won")
        if self.forgets_to_answer:
            self.forgets_to_answer -= 1
            raise Unavailable("the answer got lost")
        return verdicts

    def _claim(self, key: str, limits: Sequence[Limit]) -> Claimed:
        if key in self.others:
            return "lost"
        for limit in limits:
            held = self.places.get(f"jobledger:places:{limit.key}", set())
            if limit.concurrency is not None and len(held) >= limit.concurrency:
                return Refused(limit, None)
            if limit.key in self.waits:
                return Refused(limit, self.waits[limit.key])
        for limit in limits:
            self.places.setdefault(f"jobledger:places:{limit.key}", set()).add(key.removeprefix("jobledger:claim:"))
        return "mine" if key in self.mine else "won"

    async def let_go(self, keys: Sequence[str]) -> None:
        self.let_gone.extend(keys)
        self.mine.difference_update(keys)


@dataclass
class FakeHolders:
    """Places under limits, those of the claims."""

    claims: FakeClaims
    renewed: list[tuple[str, str]] = field(default_factory=list)

    async def let_go(self, places: Places) -> None:
        for key, name in places:
            self.claims.places[key].discard(name)

    def renew(self, places: Places) -> bool:
        self.renewed += places
        return True

    def let_go_again(self, places: Places) -> None:
        for key, name in places:
            self.claims.places[key].discard(name)


@dataclass
class FakeLocks:
    """Locks in memory, of this worker and of others. `away`: nobody answers. `life` in seconds."""

    life: float = 60.0
    there: dict[str, str] = field(default_factory=dict)
    batches: list[list[str]] = field(default_factory=list)
    let_gone: list[list[str]] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    away: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, wanted: Wanted) -> tuple[list[Verdict], float]:
        self.batches.append([key for key, _ in wanted])
        until = time.monotonic() + self.life
        await asyncio.sleep(0)  # a round trip
        self.changed.set()
        return [self._take(key, value) for key, value in wanted], until

    def _take(self, key: str, value: str) -> Verdict:
        return "unknown" if self.away else "held" if self.there.setdefault(key, value) == value else "busy"

    async def let_go(self, held: Wanted) -> None:
        self.let_gone.append([key for key, _ in held])
        for key, value in held:
            if self.there.get(key) == value:
                del self.there[key]
        self.changed.set()

    def renew(self, held: Wanted) -> tuple[list[Verdict], float]:
        self.renewed += [key for key, _ in held]
        return [self._take(key, value) for key, value in held], time.monotonic() + self.life

    def let_go_again(self, held: Wanted) -> None:
        for key, value in held:
            if self.there.get(key) == value:
                del self.there[key]

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@dataclass
class FakeSender:
    """Keeps each record's items. `hold()` lets none be acknowledged until `release()`. `told` hears of each report."""

    records: list[tuple[int, list[Report | Return]]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: int = 0
    told: Callable[[Report], None] = lambda _: None

    def __post_init__(self) -> None:
        self.open.set()

    async def send(self, partition: int, record: bytes) -> None:
        items = wire.decode_commands(record)
        self.records.append((partition, [item for item in items if isinstance(item, Report | Return)]))
        assert len(self.records[-1][1]) == len(items), f"not readable: {items}"
        self.sizes.append(len(record))
        self.changed.set()
        await self.open.wait()
        for item in items:
            if isinstance(item, Report):
                self.told(item)
        self.acknowledged += 1

    def hold(self) -> None:
        self.open.clear()

    def release(self) -> None:
        self.open.set()

    @property
    def reports(self) -> list[Report]:
        return [item for _, items in self.records for item in items if isinstance(item, Report)]

    @property
    def ends(self) -> list[Report]:
        return [report for report in self.reports if report.outcome is not None]

    @property
    def returned(self) -> dict[str, list[str]]:
        """Reason -> executions."""
        found: dict[str, list[str]] = {}
        for _, items in self.records:
            for item in items:
                if isinstance(item, Return) and item.execution_ids:
                    found.setdefault(item.reason, []).extend(item.execution_ids)
        return found

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait, record by record, until the condition holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def accepted(report: Report | Offer) -> Order:
    return Order(report.execution_id, "accepted", report.token)


@dataclass
class FakeLiveness:
    held: bool = True

    def was_held_for(self) -> float:
        return 1000.0 if self.is_held() else 0.0

    def is_held(self) -> bool:
        return self.held


@dataclass
class FakeClient:
    """What handlers submit goes to. It answers while it is `open`."""

    sent: list[Submit] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    refused: dict[str, Exception] = field(default_factory=dict)  # by job
    timeouts: list[float] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def opening(self) -> "FakeClient":
        self.opened += 1
        await asyncio.sleep(0)
        return self

    async def submit(self, command: Submit, timeout: float) -> Submitted:
        self.asked.set()
        self.timeouts.append(timeout)
        async with asyncio.timeout(5):
            await self.open.wait()
        if (refused := self.refused.get(command.job_id)) is not None:
            raise refused
        was_known = command.command_id in [one.command_id for one in self.sent]
        self.sent.append(command)
        return Submitted(f"made-of-{command.command_id}", was_known)

    async def close(self) -> None:
        self.closed += 1


@dataclass
class World:
    """A runner with its fakes."""

    jobs: Jobs = field(default_factory=Jobs)
    claims: FakeClaims = field(default_factory=FakeClaims)
    sender: FakeSender = field(default_factory=FakeSender)
    liveness: FakeLiveness = field(default_factory=FakeLiveness)
    locks: FakeLocks = field(default_factory=FakeLocks)
    answers: bool = True  # control accepts each exclusive start, as soon as it is told
    clock: BrokerClock = field(default_factory=BrokerClock)
    limits: Limits = field(default_factory=lambda: Limits(slots=10, shutdown_grace=0.05, cancel_grace=0.05, lease=1.0))
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    overrun: threading.Event = field(default_factory=threading.Event)
    bugs: list[BaseException] = field(default_factory=list)
    holders: FakeHolders = field(init=False)
    bounds: dict[str, object] = field(default_factory=dict)  # settings of queues and tenants
    runner: Runner = field(init=False)
    running: asyncio.Task[None] = field(init=False)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))
    most_threads: int = MOST_THREADS
    ways: dict[RunIn, Perform] = field(default_factory=dict)  # more of them
    guarded_by: tuple[Locks, Renewals] | None = None  # else by `locks`

    def begin(self) -> Runner:
        self.clock.observe(time.time_ns() // 1_000_000)
        locks, renewals = self.guarded_by or (self.locks, self.locks)
        self.holders = FakeHolders(self.claims)
        edges = Edges(
            self.claims,
            self.liveness,
            self.sender,
            self.clock,
            {"async": in_task, "thread": InThread(self.threads)} | self.ways,
            self.bugs.append,
            self.stuck.set,
            self.overrun.set,
            locks=locks,
            renewals=renewals,
            holders=self.holders,
            held_renewals=self.holders,
            threads=self.most_threads,
        )
        self.sender.told = self._answer
        self.runner = Runner(Settings.model_validate({"limits": self.limits, **self.bounds}), "default", self.jobs, WORKER, edges)
        self.running = asyncio.create_task(self.runner.run())
        return self.runner

    def _answer(self, report: Report) -> None:
        if self.answers and report.answer is not None:
            asyncio.get_running_loop().call_soon(self.runner.obey, accepted(report))

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        self.threads.shutdown(wait=True)
        assert self.bugs == []


def said(world: World, nth: int) -> list[Report]:
    """What was reported of this execution."""
    return [report for report in world.sender.reports if report.execution_id == offer(nth).execution_id]
