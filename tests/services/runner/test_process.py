"""Runner processes under Faust, on a real Kafka and Redis: what is offered is performed once, reported, and given back when they go."""

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from ledger.config import Settings
from ledger.core import wire
from ledger.core.execution import Report
from ledger.core.ids import ExecutionId, Micros, Token, partition_of
from ledger.core.offers import Hint, Offer, Offers
from ledger.core.orders import Order
from ledger.core.request import Return
from ledger.kafka.connect import new_consumer, new_producer
from ledger.stack import Stack
from tests import forked

START, REPORT = 30.0, 20.0  # seconds, on a busy machine
QUIET = 2.0  # seconds until an offer that nobody is heard of is made again


class Queue:
    """Stands where control stands: offers, and reads what is reported."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.journal = folder / "journal"
        self.journal.touch()
        self.log = (folder / "log").open("wb")
        self.producer: AIOKafkaProducer = new_producer(settings.kafka.bootstrap)
        self.consumer: AIOKafkaConsumer = new_consumer(settings.kafka.bootstrap)
        self.records: list[tuple[int, list[wire.Item]]] = []
        self.children: list[forked.Forked] = []
        self.pings: set[str] = set()

    async def begin(self) -> None:
        await self.producer.start()
        await self.consumer.start()
        mine = [TopicPartition(self.settings.topic("commands"), n) for n in range(self.settings.partitions)]
        self.consumer.assign(mine)
        for one in mine:
            self.consumer.seek(one, 0)

    async def end(self) -> None:
        for child in self.children:
            child.kill()
            await child.ended(REPORT)
        await self.producer.stop()
        await self.consumer.stop()
        self.log.close()

    async def runner(self) -> forked.Forked:
        url = self.settings.redis.url.get_secret_value()
        document = self.settings.model_dump(mode="json", by_alias=True) | {"redis": {"url": url}}
        del document["database"]
        child = forked.start(
            "tests.services.runner.runner_child",
            cwd=Path.cwd(),
            env={
                **os.environ,
                "RUNNER_SETTINGS": json.dumps(document),
                "PROBE_JOURNAL": str(self.journal),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            stdout=self.log,
            stderr=self.log,
        )
        self.children.append(child)
        await self._until_it_works(child)
        return child

    async def _until_it_works(self, child: forked.Forked) -> None:
        """Control would offer again what came to nobody; here a stream of small jobs tells when the worker has its partitions."""

        def works() -> bool:
            return any(f"-{child.pid}-" in report.worker for report in self.reports)

        deadline = time.monotonic() + START
        while not works():
            assert child.poll() is None, f"the runner ended with {child.returncode}"
            assert time.monotonic() < deadline, "the runner did not begin in time"
            for at in range(self.settings.queues["default"].partitions):
                pings = self.make("ping", 1)
                self.pings |= {ping.execution_id for ping in pings}
                await self.offer(pings, at)
            await self.read()

    def make(self, job: str, count: int, partition: int = 0) -> list[Offer]:
        """Offers of executions that live in this partition of the log."""
        return [
            Offer(ExecutionId(f"{secrets.token_hex(16)}-{partition}"), Token(512 + n), 1, job, job, 1, msgspec.Raw(b'{"n":%d}' % n))
            for n in range(count)
        ]

    async def offer(self, offers: list[Offer], at: int = 0) -> None:
        """In one record of this partition of the work topic."""
        home = partition_of(offers[0].execution_id) or 0
        await self.producer.send_and_wait(self.settings.topic("work.default"), wire.encode(Offers(home, tuple(offers))), partition=at)

    async def accept(self, redis: Redis) -> None:
        """Every start whose code waits for that."""
        for report in self.reports:
            if report.answer is not None:
                await redis.publish(report.answer, wire.encode_many([Order(report.execution_id, "accepted", report.token)]))

    @property
    def reports(self) -> list[Report]:
        return [item for _, items in self.records for item in items if isinstance(item, Report)]

    def ended(self, outcome: str = "completed") -> Counter[str]:
        return Counter(one.execution_id for one in self.reports if one.outcome == outcome and one.execution_id not in self.pings)

    @property
    def returned(self) -> set[str]:
        return {x for _, items in self.records for item in items if isinstance(item, Return) for x in item.execution_ids}

    def tell(self, offer: Offer) -> None:
        """Let an `until-told` end."""
        self.journal.with_name(offer.execution_id).touch()

    def ran(self) -> Counter[str]:
        return Counter(line.split()[1] for line in self.journal.read_text().splitlines())

    async def until(self, condition: Callable[[], bool], seconds: float = REPORT) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not in time; {len(self.records)} records, {Counter(r.outcome for r in self.reports)}"
            await self.read()

    async def until_ended(self, offers: list[Offer]) -> None:
        """As control does, what is not heard of for a while is offered again: a worker drops what is old, or gives it back."""
        deadline = time.monotonic() + 2 * START
        while missing := [offer for offer in offers if offer.execution_id not in self.ended()]:
            assert time.monotonic() < deadline, f"{len(missing)} of {len(offers)} did not end in time"
            again = time.monotonic() + QUIET
            while time.monotonic() < again and any(offer.execution_id not in self.ended() for offer in missing):
                await self.read()
            missing = [offer for offer in missing if offer.execution_id not in self.ended()]
            for partition in range(self.settings.partitions):
                if part := [offer for offer in missing if partition_of(offer.execution_id) == partition]:
                    await self.offer(part)

    async def read(self) -> None:
        for records in (await self.consumer.getmany(timeout_ms=100)).values():
            self.records.extend((record.partition, wire.decode_commands(record.value)) for record in records)


@pytest.fixture
async def queue(runner_settings: Settings, redis: Redis, tmp_path: Path) -> AsyncIterator[Queue]:
    queue = Queue(runner_settings, tmp_path)
    await queue.begin()
    yield queue
    await queue.end()


async def workers(redis: Redis, settings: Settings) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=settings.redis_key("worker", "*"))]


async def test_what_is_offered_is_performed_once_and_reported_in_few_records(queue: Queue, redis: Redis) -> None:
    await queue.runner()
    before = len(queue.records)
    offers = queue.make("quick", 400, partition=0), queue.make("quick", 400, partition=1)
    for _ in range(2):  # control offers again what it did not hear of
        for part in offers:
            await queue.offer(part[:200])
            await queue.offer(part[200:], at=1)
    wanted = {offer.execution_id for part in offers for offer in part}
    await queue.until_ended([offer for part in offers for offer in part])
    assert queue.ran() == Counter(wanted)
    assert queue.ended() == Counter(wanted)
    assert all(
        partition_of(item.execution_id) == partition for partition, items in queue.records for item in items if isinstance(item, Report)
    )
    assert len(queue.records) - before < 800 / 10


async def test_two_runners_perform_each_execution_once_over_joins_and_a_hand_over(queue: Queue) -> None:
    first = await queue.runner()
    offers: list[Offer] = []
    for nth in range(20):
        fresh = queue.make("quick", 20, partition=nth % 2)
        offers += fresh
        await queue.offer(fresh, at=nth % 4)
        if nth == 5:
            await queue.runner()
        if nth == 12:
            first.terminate()
    await queue.until_ended(offers)
    assert all(times == 1 for times in queue.ran().values())
    assert await first.ended(20) == 0


async def test_sigterm_hands_back_what_runs_and_takes_the_sign_of_life_away(queue: Queue, redis: Redis) -> None:
    child = await queue.runner()
    (endless,) = queue.make("endless", 1)
    await queue.offer([endless])
    await queue.until(lambda: any(report.progress == 10 for report in queue.reports), START)
    assert len(await workers(redis, queue.settings)) == 1
    child.terminate()
    await queue.until(lambda: endless.execution_id in queue.ended("handed_back"))
    assert await child.ended(15) == 0
    assert await workers(redis, queue.settings) == []


async def test_who_was_asked_to_go_takes_no_more_lets_what_runs_end_and_ends(queue: Queue, redis: Redis) -> None:
    child = await queue.runner()
    (running,), late = queue.make("until-told", 1), queue.make("quick", 3)
    await queue.offer([running])
    await queue.until(lambda: running.execution_id in {report.execution_id for report in queue.reports})
    (sign,) = await redis.keys(queue.settings.redis_key("worker", "*"))
    await redis.set(queue.settings.redis_key("drain", sign.decode().rsplit(":", 1)[1]), "somebody")
    async with asyncio.timeout(REPORT):
        while b'"draining":true' not in (await redis.get(sign) or b""):  # noqa: ASYNC110  # told by its next renewal
            await asyncio.sleep(0.05)
    await queue.offer(late)
    await queue.until(lambda: {one.execution_id for one in late} <= queue.returned)
    queue.tell(running)
    await child.ended(REPORT)
    await queue.until(lambda: queue.ended() == Counter({running.execution_id: 1}))
    assert not await redis.exists(sign)


async def test_a_thread_that_does_not_end_ends_with_its_process(queue: Queue, redis: Redis) -> None:
    child = await queue.runner()
    (stubborn,) = queue.make("stubborn", 1)
    await queue.offer([stubborn])
    await queue.until(lambda: stubborn.execution_id in queue.ran(), START)
    child.terminate()
    assert await child.ended(15) == 0
    await queue.until(lambda: stubborn.execution_id in queue.ended("handed_back"))
    assert await workers(redis, queue.settings) == []


async def test_code_in_a_process_of_its_own_ends_with_its_runner_however_that_ends(queue: Queue) -> None:
    def working() -> set[int]:
        return {int(line.split()[2]) for line in queue.journal.read_text().splitlines() if line.startswith("works")}

    child = await queue.runner()
    (easy,), (burning,) = queue.make("reckoning", 1), queue.make("burning", 1)
    await queue.offer([easy, burning])
    await queue.until(lambda: easy.execution_id in queue.ended() and bool(working()), START)
    (pid,) = working()
    assert pid != child.pid
    child.terminate()
    assert await child.ended(15) == 0
    await queue.until(lambda: burning.execution_id in queue.ended("handed_back"))
    assert not runs(pid)
    killed = await queue.runner()
    await queue.offer(queue.make("burning", 1))
    await queue.until(lambda: len(working()) == 2, START)
    killed.send_signal(signal.SIGKILL)
    await killed.ended(REPORT)
    (pid,) = working() - {pid}
    await queue.until(lambda: not runs(pid))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_what_a_killed_runner_held_is_taken_over_under_the_same_token(queue: Queue, redis: Redis) -> None:
    killed = await queue.runner()
    (endless,) = queue.make("endless", 1)
    await queue.offer([endless])
    await queue.until(lambda: queue.ran()[endless.execution_id] == 1, START)
    killed.send_signal(signal.SIGKILL)
    await killed.ended(REPORT)
    other = await queue.runner()
    deadline = time.monotonic() + START
    await queue.offer([endless])  # as Kafka does when its taking was not committed: nobody runs it for that
    again = 0
    while queue.ran()[endless.execution_id] < 2:
        assert time.monotonic() < deadline
        again += 1
        await queue.offer([msgspec.structs.replace(endless, again=again)])  # as control does when no start came
        await queue.read()
        await queue.accept(redis)
    assert queue.ran()[endless.execution_id] == 2
    other.terminate()
    assert await other.ended(15) == 0


async def test_what_control_wants_to_stop_stops(queue: Queue, redis: Redis) -> None:
    await queue.runner()
    endless, other = queue.make("endless", 2)
    await queue.offer([endless, other])
    await queue.until(lambda: len(queue.ran()) == 2, START)
    await queue.until(lambda: any(report.execution_id == endless.execution_id for report in queue.reports))
    worker = next(report.worker for report in queue.reports if report.execution_id == endless.execution_id)
    channel = queue.settings.redis_key("orders", worker)
    assert await redis.publish(channel, b"{") == 1  # it listens, and goes on to after what it cannot read
    await redis.publish(channel, wire.encode_many([Order(endless.execution_id, "cancelled", endless.token)]))
    await queue.until(lambda: bool(queue.ended("cancelled")))
    assert queue.ended("cancelled") == Counter([endless.execution_id])


async def test_what_is_hinted_at_runs_before_kafka_brings_it_and_once(queue: Queue, redis: Redis) -> None:
    await queue.runner()
    await queue.runner()
    first, hinted = queue.make("quick", 1), queue.make("quick", 3)
    await queue.offer(first)
    await queue.until_ended(first)
    channel = queue.settings.redis_key("work", "default")

    def hint(one: Offer) -> bytes:
        home = partition_of(one.execution_id) or 0
        return wire.encode_many([Hint(Micros(time.time_ns() // 1000), Offers(home, (one,)))])

    deadline = time.monotonic() + START
    while await redis.publish(channel, b"{") < 2:  # until both listen; they go on to after what they cannot read
        assert time.monotonic() < deadline
        await queue.read()
    for one in hinted:
        await redis.publish(channel, hint(one))
    await queue.until_ended(hinted)
    await queue.offer(hinted)
    last = queue.make("quick", 1)
    await queue.offer(last)
    await queue.until_ended(last)
    assert queue.ran() == Counter(one.execution_id for one in [*first, *hinted, *last])


async def test_a_flush_of_redis_loses_nothing_and_doubles_nothing_here(queue: Queue, redis: Redis) -> None:
    await queue.runner()
    (endless,) = queue.make("endless", 1)
    await queue.offer([endless])
    await queue.until(lambda: queue.ran()[endless.execution_id] == 1, START)
    every: list[Offer] = []
    for _ in range(10):
        offers = queue.make("quick", 50)
        every += offers
        await queue.offer(offers)
        await redis.flushdb()
        await queue.offer([*offers, endless])
    await queue.until_ended(every)
    assert queue.ran() == Counter([endless.execution_id, *(offer.execution_id for offer in every)])


async def test_while_redis_is_away_what_runs_goes_on_and_what_is_offered_waits(queue: Queue, stack: Stack) -> None:
    await queue.runner()
    (running,), waiting = queue.make("until-told", 1), queue.make("quick", 30)
    await queue.offer([running])
    await queue.until(lambda: queue.ran()[running.execution_id] == 1, START)
    await asyncio.to_thread(stack.kill, "valkey")
    await queue.offer(waiting)
    queue.tell(running)
    await queue.until(lambda: running.execution_id in queue.ended())
    await asyncio.to_thread(stack.restart, "valkey", empty=True)
    await queue.until_ended(waiting)
    assert all(queue.ran()[offer.execution_id] == 1 for offer in waiting)
    assert queue.returned == set()


async def test_what_ended_while_kafka_was_away_is_reported_when_it_is_back(queue: Queue, stack: Stack) -> None:
    await queue.runner()
    offers = queue.make("until-told", 20)
    await queue.offer(offers)
    await queue.until(lambda: len(queue.ran()) == 20, START)
    await asyncio.to_thread(stack.kill, "kafka")
    for offer in offers:
        queue.tell(offer)
    deadline = time.monotonic() + REPORT
    while sum(queue.ran().values()) < 40:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await asyncio.to_thread(stack.restart, "kafka")
    await queue.until(lambda: set(queue.ended()) == {offer.execution_id for offer in offers}, 60)
