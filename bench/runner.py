"""The runner by itself: how much CPU an execution costs it. Offers are fed in arrays of 200; reports go to a sender that only counts.

    python bench/runner.py [--count 50000] [--redis URL] [--profile FILE] [--thread]
Without --redis the claims are answered in memory, so the figure is the pipeline's alone.
"""

import argparse
import asyncio
import cProfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import uvloop

from ledger.config import Settings
from ledger.context import Context
from ledger.core import wire
from ledger.core.ids import ExecutionId, Token, WorkerId
from ledger.core.limits import Limit
from ledger.core.offers import Offer, Offers
from ledger.core.request import Return
from ledger.handlers import Jobs
from processors.broker_clock import BrokerClock
from processors.runner.claims import NO_LIMITS, Claims, RedisClaims, Verdict
from processors.runner.connections import connection_to
from processors.runner.edges import Edges
from processors.runner.perform import InThread, in_task
from processors.runner.process import spare_the_collector
from processors.runner.runner import Runner
from processors.seam import Record

PER_RECORD = 200


class EveryClaim:
    async def claim(self, keys: Sequence[str], again: Sequence[int] = (), limits: Sequence[Sequence[Limit]] = NO_LIMITS) -> list[Verdict]:
        return ["won"] * len(keys)

    async def let_go(self, keys: Sequence[str]) -> None: ...


class Alive:
    def is_held(self) -> bool:
        return True

    def was_held_for(self) -> float:
        return 60.0


class Counting:
    def __init__(self, expected: int) -> None:
        self.records = self.bytes = self.ended = self.given_back = 0
        self.expected = expected
        self.all_ended = asyncio.Event()

    async def send(self, partition: int, record: bytes) -> None:
        await asyncio.sleep(0.002)  # an ack
        self.records += 1
        self.bytes += len(record)
        self.ended += record.count(b'"outcome"')
        if b"offers.return" in record:
            self.given_back += sum(len(item.execution_ids) for item in wire.decode_commands(record) if isinstance(item, Return))
        if self.ended + self.given_back >= self.expected:
            self.all_ended.set()


@dataclass
class Options:
    count: int
    redis: str | None
    profile: str | None
    thread: bool


def work(count: int, partitions: int = 4) -> list[Record]:
    now_ms = time.time_ns() // 1_000_000
    records = []
    for start in range(0, count, PER_RECORD):
        partition = start // PER_RECORD % partitions
        offers = tuple(
            Offer(
                ExecutionId(f"{time.time_ns():032x}-{partition}"[-34:]),
                Token(512 * nth + 1),
                1,
                "noop",
                "noop",
                1,
                msgspec.Raw(b'{"i":1,"pad":"xxxxxxxxxx"}'),
            )
            for nth in range(start, min(count, start + PER_RECORD))
        )
        records.append(Record("work.default", partition, start, now_ms, wire.encode(Offers(partition, offers))))
    return records


async def measure(options: Options) -> None:
    jobs = Jobs()
    if options.thread:

        @jobs.job("noop")
        def in_a_thread(data: dict[str, object], ctx: Context) -> None: ...

    else:

        @jobs.job("noop")
        async def noop(data: dict[str, object], ctx: Context) -> None: ...

    settings = Settings(prefix="bench")
    worker = WorkerId(f"bench-{time.time_ns():x}")
    redis = connection_to(options.redis, 1.0) if options.redis else None
    claims: Claims = RedisClaims(redis, settings, worker) if redis else EveryClaim()
    sender = Counting(options.count)
    clock = BrokerClock()
    clock.observe(time.time_ns() // 1_000_000)
    edges = Edges(
        claims,
        Alive(),
        sender,
        clock,
        {"async": in_task, "thread": InThread(ThreadPoolExecutor(200))},
        raise_again,
        stuck=never,
        overrun=never,
    )
    runner = Runner(settings, "default", jobs, worker, edges)
    records = work(options.count)
    spare_the_collector()
    running = asyncio.create_task(runner.run())
    profile = cProfile.Profile() if options.profile else None
    if profile:
        profile.enable()
    began, cpu = time.perf_counter(), time.process_time()
    for record in records:
        runner.take(record)
        while len(runner._gate) > 1000:  # noqa: ASYNC110  # what control does with its window
            await asyncio.sleep(0.001)
    async with asyncio.timeout(120):
        await sender.all_ended.wait()
    took, used = time.perf_counter() - began, time.process_time() - cpu
    if profile and options.profile:
        profile.disable()
        profile.dump_stats(options.profile)
    running.cancel()
    print(  # noqa: T201  # the figure
        f"{options.count} executions in {took:.2f} s: {options.count / took:.0f}/s, {used / options.count * 1e6:.1f} us CPU each, "
        f"{sender.records} records of {sender.bytes / sender.records / 1024:.1f} KB, {sender.bytes / options.count:.0f} bytes each, "
        f"{sender.given_back} offers given back"
    )
    if redis:
        await redis.aclose()


def raise_again(error: BaseException) -> None:
    raise error


def never() -> None:
    raise AssertionError("no code of this bench goes on for long")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--redis")
    parser.add_argument("--profile")
    parser.add_argument("--thread", action="store_true")
    uvloop.run(measure(Options(**vars(parser.parse_args()))))
