"""Tenants: ten thousand users' schedules registered in one go, and the pause of one tenant while they fire."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from ledger.cli.measuring.bed import Bed, Say, bed
from ledger.cli.measuring.result import Result, result
from ledger.client.ledger import Ledger
from ledger.config import Settings
from ledger.core import wire
from ledger.core.refusal import Unavailable
from ledger.kafka.log_reader import LogReader
from ledger.schedule import Schedule
from projections.connecting import conninfo_of

PATIENCE: Final = 120.0  # seconds for the tables to know what was asked
LONGER: Final = 5.0  # seconds that a pause lasts beyond a whole period
HELD: Final = "skipped(paused)"

FIRING: Final = SQL("select count(distinct job_id) from {schema}.schedule_ticks where outcome = 'fired'")
OUTCOMES: Final = SQL(
    "select extract(epoch from tick_at)::float8, tick_count, outcome || coalesce('(' || reason || ')', '') from {schema}.schedule_ticks "
    "where tenant = %s and last_tick_at > %s and tick_at <= %s"
)
STARTS: Final = SQL(
    "select result::text::float8 / 1e9 from {schema}.job_executions where tenant = %s and state = 'completed' and finished_at > %s"
)


class Row(NamedTuple):
    """A row of `schedule_ticks`: ticks of one schedule, a period apart, from this one on. Seconds."""

    first: float
    ticks: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Paused:
    """What a pause did. Seconds after the call of the act; `held` and `others`: ticks between in force everywhere and the resume."""

    answered: float
    named: Sequence[float]
    last_start: float
    held: int
    others: int


async def measure(settings: Settings, say: Say, *, runs: int, users: int, tenants: int, every: float) -> list[Result]:
    """Each run pauses another tenant. Three results: the registration, the pause in force, and the last start after the act."""
    plans = plans_of(users, tenants, every)
    pauses: list[Paused] = []
    async with bed(settings, say) as made, Ledger.connect(made.settings) as ledger:
        began = time.perf_counter()
        await ledger.schedule_many([plan for _, plan in plans], timeout=PATIENCE)
        registered = time.perf_counter() - began
        say(f"{users} schedules of {tenants} tenants registered in {registered:.2f} s")
        await _until_they_fire(made, users, every)
        firing = time.perf_counter() - began
        say(f"each has fired, {firing:.1f} s after the registration began")
        for run in range(runs):
            tenant = f"t{run % tenants}"
            own = [Schedule(every=timedelta(seconds=every), offset=offset) for offset, plan in plans if plan["tenant"] == tenant]
            pauses.append(await _pause(made, ledger, tenant, own, every))
            one = pauses[-1]
            say(
                f"run {run + 1} of {runs}: answered after {one.answered * 1000:.1f} ms, named by the last partition after "
                f"{max(one.named) * 1000:.1f} ms, last start after {one.last_start * 1000:.1f} ms; {one.held} ticks held, {one.others} not"
            )
    return _results(pauses, registered, firing, f"{users} schedules of {tenants} tenants, each every {every:g} s")


def plans_of(users: int, tenants: int, every: float) -> list[tuple[timedelta, dict[str, object]]]:
    """(offset, plan): evenly spread over the period, those of one tenant too, and over all partitions."""
    made: list[tuple[timedelta, dict[str, object]]] = []
    for number in range(users):
        offset = timedelta(milliseconds=int(every * 1000 * number / users))
        whose = {"name": f"u{number}", "tenant": f"t{number % tenants}", "exclusive": "none"}
        made.append((offset, {"job": "stamp", "data": {}, "every": timedelta(seconds=every), "offset": offset, **whose}))
    return made


async def _until_they_fire(made: Bed, users: int, every: float) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE + every
    async with await psycopg.AsyncConnection.connect(conninfo_of(made.settings), autocommit=True) as connection:
        while True:
            row = await (await connection.execute(FIRING.format(schema=_schema(made)))).fetchone()
            fired = int(str(row[0])) if row is not None else 0
            if fired >= users:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{fired} of {users} schedules have fired; the processes said:\n{made.complain()}")
            await asyncio.sleep(1)


async def _pause(made: Bed, ledger: Ledger, tenant: str, own: Sequence[Schedule], every: float) -> Paused:
    numbers = range(made.settings.partitions)
    ends = await asyncio.gather(*(_end(made.settings, number) for number in numbers))
    called = time.time()
    acted = await ledger.pause(tenant=tenant, reason="bench")
    answered = time.time()
    if acted.seq is None:
        raise Unavailable("the answer to the pause names no commit of the registry: Redis did not carry it; measure again")
    await asyncio.sleep(every + LONGER)
    seq = acted.seq
    named = await asyncio.gather(*(_named(made.settings, number, end, seq) for number, end in zip(numbers, ends, strict=True)))
    resumed = time.time()
    await ledger.resume(tenant=tenant, reason="bench")
    counts, starts = await _settled(made, tenant, own, every, (max(named), resumed), called)
    late = [start - called for start in starts if called < start < resumed]
    return Paused(answered - called, [one - called for one in named], max(late, default=0.0), counts[HELD], counts.total() - counts[HELD])


async def _end(settings: Settings, number: int) -> int:
    async with LogReader(settings, "events", number) as reader:
        return (await reader.bounds()).end


async def _named(settings: Settings, number: int, start: int, seq: int) -> float:
    """When the partition's log got its first commit that was decided with this commit of the registry. Broker's append time, seconds."""
    async with LogReader(settings, "events", number) as reader, aclosing(reader.batches(start, (await reader.bounds()).end)) as batches:
        async for batch in batches:
            for record in batch.records:
                registry = wire.decode_header(record.value or b"").registry
                if registry is not None and registry.seq >= seq:
                    return record.timestamp / 1000
    raise Unavailable(f"events[{number}] has no commit decided with commit {seq} of the registry: the pause is not in force there")


async def _settled(
    made: Bed, tenant: str, own: Sequence[Schedule], every: float, window: tuple[float, float], called: float
) -> tuple[Counter[str], list[float]]:
    """What became of the tenant's ticks in the window, and when its executions since the act began, once the tables know all of them."""
    expected = expected_between(own, *window)
    deadline = asyncio.get_running_loop().time() + PATIENCE
    bounds = [datetime.fromtimestamp(one, UTC) for one in window]
    async with await psycopg.AsyncConnection.connect(conninfo_of(made.settings), autocommit=True) as connection:
        while True:
            rows = await (await connection.execute(OUTCOMES.format(schema=_schema(made)), (tenant, *bounds))).fetchall()
            counts = outcomes_between((Row(float(row[0]), int(row[1]), str(row[2])) for row in rows), every, *window)
            if counts.total() >= expected:
                break
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{counts.total()} of {expected} ticks have an outcome; the processes said:\n{made.complain()}")
            await asyncio.sleep(0.5)
        since = datetime.fromtimestamp(called, UTC)
        starts = await (await connection.execute(STARTS.format(schema=_schema(made)), (tenant, since))).fetchall()
    return counts, [float(row[0]) for row in starts]


def _schema(made: Bed) -> Identifier:
    return Identifier(made.settings.database.table_schema)


def expected_between(schedules: Iterable[Schedule], after: float, until: float) -> int:
    """How many ticks these expect after the one instant and up to the other, in seconds."""
    count = 0
    for schedule in schedules:
        tick = schedule.next(datetime.fromtimestamp(after, UTC))
        while tick is not None and tick.timestamp() <= until:
            count += 1
            tick = schedule.next(tick)
    return count


def outcomes_between(rows: Iterable[Row], every: float, after: float, until: float) -> Counter[str]:
    """Ticks by outcome, after the one instant and up to the other: a row may begin before and end behind."""
    ticks = ((row.first + nth * every, row.outcome) for row in rows for nth in range(row.ticks))
    return Counter(outcome for tick, outcome in ticks if after < tick <= until)


def _results(pauses: Sequence[Paused], registered: float, firing: float, what: str) -> list[Result]:
    in_force = f"{what}; one tenant paused while they fire; the call of pause() -> the last partition's first commit decided with it"
    last = f"{what}; the call of pause() -> the first line of the tenant's execution that started last before the resume (0: none did)"
    sums = {"ticks_held": float(sum(one.held for one in pauses)), "ticks_not_held": float(sum(one.others for one in pauses))}
    return [
        result("schedule_many", [registered], "s", f"{what}; one call, each decided and answered", {"each_has_fired": round(firing, 3)}),
        result(
            "pause_in_force",
            [max(one.named) * 1000 for one in pauses],
            "ms",
            in_force,
            {"answered": round(max(one.answered for one in pauses) * 1000, 3), **sums},
        ),
        result("pause_last_start", [one.last_start * 1000 for one in pauses], "ms", last),
    ]
