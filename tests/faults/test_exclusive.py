"""Exclusive code under everything that happens to workers, Redis and clocks: it never runs beside itself, nothing is lost, tokens rise.

What a worker does that was frozen for longer than its lease and woke up, no lock can keep it from: that is judged by its token alone.
"""

import asyncio
import math
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.cli.measuring.overlaps import Run, overlaps_in_log, overlaps_of, read_runs
from ledger.core import execution
from ledger.stack import Stack
from ledger.submitting.submission import Submission
from processors.broker_clock import SKEW
from processors.runner.process import EXIT_STUCK
from tests.faults.audit import Audit, audit
from tests.faults.harness import CONTROL, RUNNER, Cluster, cluster_on
from tests.faults.load import Load
from tests.faults.probe import EXCLUSIVE

SECOND = 1_000_000_000
AN_HOUR = 3600


def wish(keys: int, longest: int, chance: random.Random) -> Submission:
    """Both jobs have keys of their own."""
    key = f"k{chance.randrange(keys)}"
    job = "guarded-blocking" if chance.random() < 0.2 else "guarded"
    takes = chance.choice((0, 1, 1, 5, 20, longest if chance.random() < 0.2 else 50))
    return Submission(job, {"key": f"{job}-{key}", "ms": str(takes)}, exclusive_key=key)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A process that stood still, in nanoseconds of the monotonic clock. It stopped a moment after `since`, and what begins a moment after
    `until` had been under way."""

    pid: int
    since: int
    until: int


@dataclass
class Unrest:
    cluster: Cluster
    load: Load
    frozen: list[Frozen] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @property
    def lease(self) -> float:
        return self.cluster.settings.limits.lease

    async def step(self, act: str) -> None:
        acts: dict[str, Callable[[str], Awaitable[None]]] = {
            "freeze": self.freeze, "kill": self.kill, "skew": self.skew, "redis": self.redis, "control": self.control
        }  # fmt: skip
        self.done.append(act)
        await acts[act](await self.victim())

    async def victim(self) -> str:
        """A runner whose exclusive code runs. If all else has ended by now, there is something to do for it still."""
        await self.load.submit_these([Submission("guarded", {"key": "victim", "ms": f"{1500 * self.lease:.0f}"}, exclusive_key="victim")])
        busy: list[str] = []

        def found() -> bool:
            pids = {run.pid for run in read_runs(self.cluster.folder / EXCLUSIVE) if run.end == 0}
            busy[:] = [name for name, one in self.cluster.processes.running.items() if one.process.pid in pids]
            return bool(busy)

        await self.cluster.until(found, "exclusive code runs")
        return self.cluster.random.choice(busy)

    async def freeze(self, runner: str) -> None:
        processes = self.cluster.processes
        pid, since = processes.running[runner].process.pid, time.monotonic_ns()
        processes.send(runner, signal.SIGSTOP)
        await self.cluster.moment(3 * self.lease, 3.2 * self.lease)
        until = time.monotonic_ns()
        processes.send(runner, signal.SIGCONT)
        self.frozen.append(Frozen(pid, since, until))

    async def kill(self, runner: str) -> None:
        self.cluster.processes.kill(runner)

    async def control(self, _: str) -> None:
        self.cluster.processes.kill("control-0")

    async def skew(self, runner: str) -> None:
        """A clock has jumped an hour, as the successors of these two see it."""
        skew = {SKEW: str(self.cluster.random.choice((AN_HOUR, -AN_HOUR)))}
        for name, command in ((runner, RUNNER), ("control-0", CONTROL)):
            self.cluster.processes.kill(name, again=False)
            self.cluster.processes.start(name, *command, **skew)

    async def redis(self, _: str) -> None:
        await self.cluster.kill_server("valkey", empty=self.cluster.random.random() < 0.5, down=2 * self.lease)

    async def flush(self) -> None:
        """Every second, until it is cancelled."""
        async with Redis.from_url(self.cluster.stack.redis) as redis:
            while True:
                with suppress(RedisError, OSError):
                    await redis.flushall()
                    self.cluster.emptied.append(time.monotonic())
                await asyncio.sleep(1)  # the fault itself


def slept(run: Run, frozen: Frozen, found: Audit) -> bool:
    """It stood still in the midst of its code; or between the look at its lock, which was good then, and the first thing that its code
    does: by then it was lost."""
    if run.pid != frozen.pid or 0 < run.end < frozen.since:
        return False
    return run.start < frozen.until or (run.start < frozen.until + SECOND // 5 and lost_at(found, run) <= run.start)


def thawed(runs: Sequence[Run], frozen: Sequence[Frozen], found: Audit) -> tuple[list[Run], list[Run]]:
    """The runs as if those that were frozen had ended then, and those that woke up. Such a one may still have the file of its key."""
    asleep = {run: one for run in runs for one in frozen if slept(run, one, found)}
    beside = {
        later
        for run, one in asleep.items()
        for later in runs
        if later.key == run.key and later.start > one.since and (run.end == 0 or later.start < run.end)
    }
    judged = [as_ended(run, asleep[run]) if run in asleep else run for run in runs]
    judged = [structs.replace(one, locked=True) if run in beside else one for run, one in zip(runs, judged, strict=True)]
    return sorted(judged, key=attrgetter("start")), [run for run, one in asleep.items() if run.end > one.since]


def as_ended(run: Run, frozen: Frozen) -> Run:
    """It began before the freeze at the latest, and ended with it; what it found locked after that does not count."""
    return structs.replace(run, start=min(run.start, frozen.since), end=frozen.since, locked=run.locked or run.start > frozen.since)


def attempt_of(found: Audit, run: Run) -> int:
    return next(one.attempt for one in found.histories[run.execution_id] if isinstance(one, execution.Started) and one.token == run.token)


def lost_at(found: Audit, run: Run) -> float:
    """In nanoseconds of the monotonic clock; it may never have been."""
    at = found.lost_at.get((run.execution_id, attempt_of(found, run)))
    return math.inf if at is None else at * 1000 - (time.time_ns() - time.monotonic_ns())


def refused(found: Audit, run: Run, runs: Sequence[Run]) -> bool:
    """Its token is old, and nothing that it told of its end counts; or it was not lost."""
    history, attempt, lost = found.histories[run.execution_id], attempt_of(found, run), lost_at(found, run) < math.inf
    counts = any(
        isinstance(one, execution.Completed | execution.AttemptFailed | execution.Failed) and one.attempt == attempt for one in history
    )
    newer = any(one.key == run.key and one.token > run.token and one.start < run.end for one in runs)
    return lost and not counts if newer else True


async def exclusive(cluster: Cluster, *, executions: int, keys: int, acts: list[str], most: float, runners: int) -> None:
    await cluster.begin(runners=runners)
    cluster.tolerates = lambda ended: ended.name.startswith("runner-") and ended.code == EXIT_STUCK
    load = Load(cluster, partial(wish, keys, round(1500 * cluster.settings.limits.lease)))
    unrest = Unrest(cluster, load)
    cluster.random.shuffle(acts)
    flushing = asyncio.create_task(unrest.flush())
    lasting = len(acts) * most
    submitting = asyncio.create_task(load.submit(executions, lambda: lasting / executions * 50))
    for act in acts:
        await cluster.moment(0.1, most)
        await unrest.step(act)
    await submitting
    await cluster.all_finished(load.count, 240)
    flushing.cancel()

    found = await audit(cluster, load)
    runs = read_runs(cluster.folder / EXCLUSIVE)
    judged, woke = thawed(runs, unrest.frozen, found)
    wrong = overlaps_of(judged, [(one.pid, 0 if one.code == EXIT_STUCK else round(one.at * SECOND)) for one in cluster.processes.ended])
    assert wrong == [], f"{len(wrong)} overlaps: {wrong[:5]}"
    wrong, _ = await overlaps_in_log(cluster.settings)
    assert wrong == [], f"{len(wrong)} overlaps in the log: {wrong[:5]}"
    assert [run for run in woke if not refused(found, run, runs)] == []
    assert found.count(execution.Completed) == load.count
    print(
        f"{unrest.done}, {len(cluster.emptied)} times empty: {found}; {len(runs)} runs, {len(woke)} woke up; "
        f"ended by themselves: {len(cluster.processes.surprises)}"
    )


class Wire:
    """Between one worker and Redis; it can be cut for that one alone."""

    def __init__(self, url: str) -> None:
        self._there = urlsplit(url)
        self._ends: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def begin(self) -> str:
        """The address on this side."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._there.path}"

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._there.hostname, self._there.port)
        self._ends += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await source.read(65536):
                sink.write(piece)
        sink.close()

    def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()


@pytest.fixture
async def cluster(fault_stack: Stack, tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """Its lease is the parameter; an attempt may be lost as often as it takes."""
    limits = {"lease": request.param, "slots": 20, "offer_window": 100, "shutdown_grace": 2.0, "snapshot_events": 2000}
    async with cluster_on(fault_stack, tmp_path, seed, limits={**limits, "max_lost_attempts": 100}) as one:
        yield one


@pytest.mark.parametrize("cluster", [1.0], indirect=True)
async def test_nothing_overlaps_when_redis_is_emptied_and_a_worker_frozen(cluster: Cluster) -> None:
    await exclusive(cluster, executions=120, keys=10, acts=["freeze", "kill"], most=0.5, runners=2)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [1.0], indirect=True)
async def test_deaf_code_of_a_worker_that_is_cut_off_from_redis_ends_before_another_runs(cluster: Cluster) -> None:
    await cluster.begin(runners=0)
    cluster.tolerates = lambda ended: ended.name == "runner-0" and ended.code == EXIT_STUCK
    wire = Wire(cluster.stack.redis)
    cluster.processes.start("runner-0", *RUNNER, JOBLEDGER_REDIS__URL=await wire.begin())
    async with cluster.ledger() as ledger:
        await ledger.submit("guarded-blocking", {"key": "k", "ms": "4000"}, exclusive_key="k")
    await cluster.until(lambda: bool(read_runs(cluster.folder / EXCLUSIVE)), "it runs")
    wire.cut()
    words = ("attempt.stuck", "attempt.overrun")  # by the event loop, or by the watch of locks, whichever is first
    await cluster.until(lambda: any(one in cluster.processes.said("runner-0") for one in words), "its process ends")
    await cluster.all_finished(1)
    runs = read_runs(cluster.folder / EXCLUSIVE)
    assert [bool(run.end) for run in runs] == [False, True]
    assert overlaps_of(runs, [(runs[0].pid, 0)]) == []
    assert [one.code for one in cluster.processes.ended] == [EXIT_STUCK]


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [2.0], indirect=True)
async def test_nothing_overlaps_whatever_happens(cluster: Cluster) -> None:
    acts = ["freeze", "kill", "skew", "redis", "control"] * 4
    await exclusive(cluster, executions=4000, keys=50, acts=acts, most=4.0, runners=3)
