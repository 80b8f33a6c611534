"""A log made up for tests and measurements: chained commits with the lives of executions, in memory or on a real Kafka."""

import random
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from aiokafka import AIOKafkaProducer
from msgspec import Raw

from ledger.config import Settings
from ledger.core import backfill, bulk, chain, definition, execution, outcome, pause, schedule_spec, tick, wire
from ledger.core.bodies import NOTHING
from ledger.core.chain import Header
from ledger.core.ids import Address, ExecutionId, Micros, Position, Token, WorkerId, execution_of_backfill, execution_of_tick
from ledger.core.options import Options
from ledger.kafka.connect import new_producer

BEGAN = 1_790_000_000_000_000  # when the first commit was decided
STEP = 10_000  # microseconds between commits
WORKER = WorkerId("worker-host-4711-a1b2c3")


class SyntheticLog:
    """One partition. `records` are the bytes in order of their offsets; `voids` are among them."""

    def __init__(self, log: str, partition: int, first: bytes | None = None) -> None:
        """`first`: the opening that stands there already, where the log is to be continued on a real Kafka."""
        self.log, self.partition = log, partition
        self.records: list[bytes] = []
        self.seq = 0
        self.prev = chain.GENESIS
        self.at = BEGAN
        if first is not None:
            self._append(first)

    def commit(self, events: Sequence[wire.Event | bytes]) -> bytes:
        self.at += STEP
        encoded = [event if isinstance(event, bytes) else wire.encode(event) for event in events]
        record = wire.encode_commit(self._header(self.seq + 1, self.prev), encoded)
        self._append(record)
        return record

    def open(self, log_id: str, partitions: int) -> bytes:
        return self.commit([outcome.Opened(log_id, partitions)])

    def void(self, events: Sequence[wire.Event]) -> bytes:
        """What a zombie would write: a commit with a number that was taken."""
        record = wire.encode_commit(self._header(self.seq, "f" * 64), [wire.encode(event) for event in events])
        self.records.append(record)
        return record

    def fill(self, events: Iterable[wire.Event | bytes], per_commit: int = 500) -> None:
        """Commit the events, `per_commit` at a time."""
        batch: list[wire.Event | bytes] = []
        for event in events:
            batch.append(event)
            if len(batch) == per_commit:
                self.commit(batch)
                batch = []
        if batch:
            self.commit(batch)

    def _header(self, seq: int, prev: str) -> Header:
        return Header(chain.COMMIT_VERSION, self.log, self.partition, seq, prev, self.at, Position(seq, 0), Address(1, 0))

    def _append(self, record: bytes) -> None:
        self.records.append(record)
        self.seq += 1
        self.prev = chain.digest(record)


def execution_id(number: int, partition: int) -> ExecutionId:
    mixed = blake2b(f"{partition}/{number}".encode(), digest_size=16).hexdigest()
    return ExecutionId(f"{(BEGAN + number * 80) // 1000:012x}7{mixed[13:]}-{partition}")


def requested(number: int, partition: int, **changes: object) -> execution.Requested:
    named = execution_id(number, partition)
    fields: dict[str, object] = {
        "job_id": "send-invoice",
        "job_name": "send-invoice",
        "job_version": 1,
        "kind": "on_demand",
        "queue": "default",
        "requested_at": Micros(BEGAN + number * 80 // 1000 * 1000),
        "command_id": named[:-2],
        "data": Raw(b'{"i":%d,"pad":"%s"}' % (number, b"x" * 80)),
    }
    return execution.Requested(named, **{**fields, **changes})  # type: ignore[arg-type]  # fields by name


def completed_lives(count: int, partition: int, first: int = 0) -> Iterator[bytes]:
    """Requested, started, completed: three events an execution, two hundred under way at a time."""
    for start in range(first, first + count, 200):
        numbers = range(start, min(start + 200, first + count))
        yield from (wire.encode(requested(number, partition)) for number in numbers)
        for number in numbers:
            named = execution_id(number, partition)
            yield wire.encode(execution.Started(named, 1, Token(number), WORKER, 3, Micros(BEGAN + number * 80 + 600_000_000)))
            yield wire.encode(execution.Completed(named, 1, 2))


def varied_lives(count: int, partition: int, seed: int) -> list[wire.Event]:
    """Lives of every kind, interleaved as they would be."""
    chance = random.Random(seed)
    lives = [_life(number, partition, chance) for number in range(count)]
    events: list[wire.Event] = []
    while lives:
        life = chance.choice(lives[:50])
        event = next(life, None)
        if event is None:
            lives.remove(life)
        else:
            events.append(event)
    return events


def _life(number: int, partition: int, chance: random.Random) -> Iterator[wire.Event]:
    named = execution_id(number, partition)
    if chance.random() < 0.05:
        yield outcome.Rejected(
            f"refused-{number}", "execution.submit.v1", "unknown_job", "there is no such job: \t\\ ü\n", "nowhere", "acme", None
        )
        return
    delayed = chance.random() < 0.2
    yield requested(
        number,
        partition,
        tenant=chance.choice([None, "acme", 'quo"te\\d\ttab']),
        labels=chance.choice([None, {"team": "a"}, {"team": "b", "ü": "\\"}]),
        run_at=Micros(BEGAN + 10**12) if delayed else None,
        start_deadline=chance.choice([None, Micros(BEGAN + 10**12)]),
    )
    if delayed:
        if chance.random() < 0.3:
            yield execution.Blocked(named, execution_id(number + 1, partition))
        yield execution.Due(named)
    if chance.random() < 0.05:
        yield execution.Missed(named, "start_deadline")
        return
    if chance.random() < 0.05:
        yield execution.Skipped(named, "version_too_old", WORKER, "version 1")
        return
    attempt = 1
    while True:
        yield execution.Started(named, attempt, Token(number * 10 + attempt), WORKER, chance.randrange(50))
        if chance.random() < 0.3:
            yield execution.Progressed(named, attempt, chance.randrange(100), chance.choice([None, "half\nway"]))
        match chance.randrange(9):
            case 0:
                yield execution.AttemptFailed(named, attempt, "failed", "ValueError", "no\x01good", Micros(BEGAN + 10**10), 7)
                yield execution.Due(named)
                attempt += 1
            case 1:
                if chance.random() < 0.5:
                    yield execution.HandedBack(named, attempt, WORKER, 3)
                else:
                    yield execution.Snoozed(named, attempt, Micros(BEGAN + 10**10), 3)
                    yield execution.Due(named)
            case 2:
                yield execution.AttemptLost(named, attempt, WORKER)
                attempt += 1
            case 3:
                yield execution.Failed(named, attempt, chance.choice(["failed", "timed_out"]), "OSError", "gone", 9)
                return
            case 4:
                yield execution.Lost(named, attempt, WORKER)
                return
            case 5:
                return  # it runs still
            case 6:
                yield execution.CancelRequested(named, "cancel_other")
                yield execution.Cancelled(named, "cancel_other", attempt, 5)
                return
            case _:
                yield execution.Completed(named, attempt, 2, chance.choice([NOTHING, Raw(b"null"), Raw(b'{"ok": 1.50, "a": [1e3]}')]))
                yield execution.ReportRefused(named, Token(1), WORKER, "stale_token")
                return


def scheduled_lives(ticks: int, partition: int, seed: int) -> list[wire.Event]:
    """Jobs with schedules, each at home in one partition: taken over, edited, dropped, paused by themselves; ticks of every outcome; runs
    that end in every way; a backfill."""
    chance = random.Random(seed)
    jobs = [f"{name}-{partition}" for name in ("tidy", "sync", "nightly")]
    events: list[wire.Event] = [tick.Adopted(job, 1, Micros(BEGAN), next_tick_at=Micros(BEGAN + MINUTE)) for job in jobs]
    under_way: list[Iterator[wire.Event]] = []
    for number in range(1, ticks + 1):
        for job in jobs:
            events.extend(_tick(job, number, partition, chance, under_way))
            if chance.random() < 0.1:
                events.extend(_turn(job, number, chance))
        while under_way and chance.random() < 0.8:
            life = chance.choice(under_way)
            event = next(life, None)
            if event is None:
                under_way.remove(life)
            else:
                events.append(event)
    return [*events, *_backfill(jobs[0], partition)]


MINUTE = 60_000_000


def _tick(job: str, number: int, partition: int, chance: random.Random, under_way: list[Iterator[wire.Event]]) -> Iterator[wire.Event]:
    at, following = Micros(BEGAN + number * MINUTE), Micros(BEGAN + (number + 1) * MINUTE)
    if chance.random() < 0.2:
        yield tick.Skipped(job, job, 1, at, at, 1, "overlap", "acme", "somebody-0", following)
    elif chance.random() < 0.2:
        yield tick.Missed(job, job, 1, Micros(at - 30), at, 3, "coalesced", next_tick_at=following)
    else:
        named = execution_of_tick(job, at, partition)
        blocked = ExecutionId("former-0") if chance.random() < 0.3 else None
        yield execution.Requested(
            named, job, job, 1, "system", "default", at, "schedule", tick_at=at, due_at=at, blocked_by=blocked, next_tick_at=following
        )
        under_way.append(_run(named, chance, is_blocked=blocked is not None))


def _turn(job: str, number: int, chance: random.Random) -> list[wire.Event]:
    at = Micros(BEGAN + number * MINUTE)
    match chance.randrange(4):
        case 0:
            return [tick.Adopted(job, number, at, next_tick_at=Micros(at + MINUTE))]
        case 1:
            return [tick.Dropped(job), tick.Adopted(job, number, at)]
        case 2:
            return [tick.AutoPaused(job, 3, "3 in a row failed")]
        case _:
            return [tick.SkipOrdered(job, at, 1), tick.AutoResumed(job, at, "ops")]


def _run(named: ExecutionId, chance: random.Random, *, is_blocked: bool) -> Iterator[wire.Event]:
    if is_blocked and chance.random() < 0.3:
        yield execution.Cancelled(named, "asked")
        return
    if is_blocked:
        yield execution.Due(named)
    match chance.randrange(7):
        case 0:
            yield execution.Missed(named, "start_deadline")
            return
        case 1:
            yield execution.Skipped(named, "version_too_old", WORKER, "version 1")
            return
        case 2:
            return  # it waits still
    yield execution.Started(named, 1, Token(1), WORKER, 5)
    match chance.randrange(4):
        case 0:
            yield execution.Failed(named, 1, "failed", "OSError", "gone", 9)
        case 1:
            yield execution.Lost(named, 1, WORKER)
        case 2:
            yield execution.Cancelled(named, "by_handler", 1, 4, detail="not today")
        case _:
            yield execution.Completed(named, 1, 2)


def _backfill(job: str, partition: int) -> list[wire.Event]:
    first, last = Micros(BEGAN - 5 * MINUTE), Micros(BEGAN - 4 * MINUTE)
    made_up = [execution_of_backfill(f"b-{job}", job, at, partition) for at in (first, last)]
    requests = [
        execution.Requested(named, job, job, 1, "system", "default", at, "backfill", tick_at=at, backfill_id=f"b-{job}")
        for named, at in zip(made_up, (first, last), strict=True)
    ]
    return [
        backfill.Begun(f"b-{job}", job, 1, Micros(first - 1), last, 3, actor="ops", reason="it was down"),
        requests[0],
        backfill.Advanced(f"b-{job}", job, first, 1, 1),
        requests[1],
        backfill.Finished(f"b-{job}", job, 2, 1),
        backfill.Begun(f"c-{job}", job, 1, first, last, 1),  # it goes on
        bulk.Begun(f"k-{job}", "cancel", 2, Raw(b'{"job":"sync"}'), "ops", "a mistake"),
        outcome.Accepted("c1", "execution.cancel.v1", "applied", job, bulk_id=f"k-{job}"),
        outcome.Rejected("c2", "execution.cancel.v1", "unknown_execution", "", bulk_id=f"k-{job}"),
        bulk.Finished(f"k-{job}"),
        bulk.Begun(f"l-{job}", "retry", 1),  # it goes on
    ]


def pause_events() -> list[wire.Event]:
    """Pauses of each scope, over the jobs of `registry_events`."""
    return [
        pause.Began("queue", "mail", "the provider is away", "ops"),
        pause.Began("job", "tidy", "broken since Monday", "ops"),
        pause.Began("job", "sync"),
        pause.Ended("queue", "mail", "ops"),
        pause.Ended("job", "send-invoice"),  # nothing stood
        pause.Began("tenant", "acme"),
        pause.Began("key", "key:send:7", "slowly"),
        pause.Ended("key", "key:send:7"),
        definition.Retired("tidy"),
        definition.Versioned("tidy", 3, "h5", True),
        pause.Ended("job", "tidy", "ops"),
        pause.Began("queue", "mail", "again"),
    ]


def registry_events() -> list[wire.Event]:
    """Jobs of each kind, two versions, a manifest that retires one, acts accepted and refused."""
    schedule = schedule_spec.ScheduleSpec(every_ms=60_000)
    return [
        definition.Registered("send-invoice", "send-invoice", "on_demand", "default"),
        definition.Versioned("send-invoice", 1, "h1", True, options=Options(timeout_ms=1000)),
        outcome.Accepted("c1", "job.register.v1", "applied", "send-invoice"),
        definition.Registered("tidy", "tidy", "system", "default", "job"),
        definition.Versioned("tidy", 1, "h2", data=Raw(b'{"deep": [1, null]}'), schedule=schedule, actor="ops", reason="first"),
        definition.Registered("sync", "sync", "system", "default", "tenant", "acme"),
        definition.Versioned("sync", 1, "h3", schedule=schedule),
        definition.ManifestApplied("m1", (("tidy", 1), ("sync", 1))),
        definition.Versioned("tidy", 2, "h4", schedule=schedule),
        definition.ManifestApplied("m2", (("tidy", 2),), ("sync",)),
        outcome.Accepted("c2", "manifest.apply.v1", "stale"),
        outcome.Rejected("c3", "job.register.v1", "drift", "another body", "tidy", None, "ops"),
        outcome.Rejected("c3", "job.register.v1", "drift", "another body", "tidy", None, "ops"),
    ]


async def append(settings: Settings, log: str, partition: int, records: Iterable[bytes]) -> None:
    """Append records to a real topic, durably and in order."""
    producer: AIOKafkaProducer = new_producer(settings.kafka.bootstrap)
    await producer.start()
    try:
        sent = None
        for record in records:
            sent = await producer.send(settings.topic(log), record, partition=partition)
        if sent is not None:
            await sent
    finally:
        await producer.stop()
