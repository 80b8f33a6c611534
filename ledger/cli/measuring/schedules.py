"""Schedules: a thousand jobs that fire every second on one worker, and what the next firing of one costs."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from ledger.cli.measuring.bed import Bed, Say, bed
from ledger.cli.measuring.result import Result, percentile, result
from ledger.client.ledger import Ledger
from ledger.client.scheduling import Plan
from ledger.config import Settings
from ledger.core.refusal import Unavailable
from ledger.schedule import Schedule
from projections.connecting import conninfo_of

WARM_UP: Final = timedelta(seconds=8)
CATCHING_UP: Final = 30.0  # seconds until the tables have to know what became of the last tick
TIMES: Final = 20_000
ROUNDS: Final = 5
SECOND: Final = timedelta(seconds=1)

COUNTED: Final = SQL(
    "select coalesce(sum(tick_count) filter (where outcome = 'fired'), 0), coalesce(sum(tick_count) filter (where outcome <> 'fired'), 0) "
    "from {schema}.schedule_ticks where tick_at > %s and tick_at <= %s"
)
LATE: Final = SQL(
    "select extract(epoch from t.decided_at - t.due_at)::float8 * 1000, "
    "(e.result::text::float8 / 1000 - extract(epoch from t.due_at)::float8 * 1000000) / 1000 "
    "from {schema}.schedule_ticks t join {schema}.job_executions e using (execution_id) "
    "where t.outcome = 'fired' and e.state = 'completed' and t.tick_at > %s and t.tick_at <= %s"
)


@dataclass(frozen=True, slots=True)
class Window:
    """What became of the ticks of a run. Lateness in milliseconds, by the tick's assigned instant."""

    expected: int
    fired: int
    decided: Sequence[float]
    started: Sequence[float]


async def measure(settings: Settings, say: Say, *, runs: int, jobs: int, seconds: int, jitter: str | None) -> list[Result]:
    """The lateness of the decision, as `schedule_ticks` has it; beside it that of the handler's first line. And `Schedule.next`."""
    windows: list[Window] = []
    async with bed(settings, say) as made, Ledger.connect(made.settings) as ledger:
        plans: list[Plan] = [
            {"job": "stamp", "name": f"n{number}", "every": "1s", "jitter": jitter, "exclusive": "none", "data": {}}
            for number in range(jobs)
        ]
        began = time.perf_counter()
        await ledger.schedule_many(plans, timeout=60)
        say(f"{jobs} jobs scheduled in {time.perf_counter() - began:.2f} s")
        await asyncio.sleep(WARM_UP.total_seconds())
        for run in range(runs):
            windows.append(await watch(made, jobs, seconds))
            one = windows[-1]
            decided, started = _figures(one.decided), _figures(one.started)
            say(f"run {run + 1} of {runs}: {one.fired} of {one.expected} ticks fired; decided {decided}; handler began {started}")
    return [_lateness(windows, jobs, seconds, jitter), *next_costs()]


def _figures(late: Sequence[float]) -> str:
    return f"p50 {percentile(late, 0.5):.1f} ms, p99 {percentile(late, 0.99):.1f}"


async def watch(made: Bed, jobs: int, seconds: int) -> Window:
    """The ticks of so many seconds from now on, of so many jobs that fire every second; no other schedule may be due meanwhile."""
    schema = Identifier(made.settings.database.table_schema)
    first = datetime.now(UTC).replace(microsecond=0)
    bounds = (first, first + seconds * SECOND)
    expected = jobs * seconds
    await asyncio.sleep(seconds + 1)
    async with await psycopg.AsyncConnection.connect(conninfo_of(made.settings), autocommit=True) as connection:
        fired = await _until_known(connection, COUNTED.format(schema=schema), bounds, expected, made)
        rows = await (await connection.execute(LATE.format(schema=schema), bounds)).fetchall()
        deadline = asyncio.get_running_loop().time() + CATCHING_UP
        while len(rows) < fired:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{len(rows)} of {fired} executions were completed; the processes said:\n{made.complain()}")
            await asyncio.sleep(0.5)
            rows = await (await connection.execute(LATE.format(schema=schema), bounds)).fetchall()
    return Window(expected, fired, [float(row[0]) for row in rows], [float(row[1]) for row in rows])


async def _until_known(
    connection: psycopg.AsyncConnection[tuple[object, ...]], query: Composed, bounds: tuple[datetime, datetime], expected: int, made: Bed
) -> int:
    """How many fired, once the outcomes of all ticks are in the tables."""
    deadline = asyncio.get_running_loop().time() + CATCHING_UP
    while True:
        row = await (await connection.execute(query, bounds)).fetchone()
        fired, others = (int(str(one)) for one in row or (0, 0))
        if fired + others >= expected:
            return fired
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"{fired + others} of {expected} ticks have an outcome; the processes said:\n{made.complain()}")
        await asyncio.sleep(0.5)


def _lateness(windows: Sequence[Window], jobs: int, seconds: int, jitter: str | None) -> Result:
    at = f"spread by a jitter of {jitter}" if jitter else "all at the same instant"
    how = (
        f"{jobs} jobs every second for {seconds} s, {at}; one control, one runner, one projection; "
        "assigned instant -> decision in the log, p50; started: -> first line of the handler"
    )
    more = {
        "p99": _median(percentile(one.decided, 0.99) for one in windows),
        "started_p50": _median(percentile(one.started, 0.50) for one in windows),
        "started_p99": _median(percentile(one.started, 0.99) for one in windows),
        "missed": float(max(one.expected - one.fired for one in windows)),
    }
    return result("schedules", [percentile(one.decided, 0.5) for one in windows], "ms", how, more)


def _median(values: Iterable[float]) -> float:
    return round(percentile(list(values), 0.5), 3)


def next_costs() -> list[Result]:
    """Microseconds for the next firing, warm, from one to the next."""
    berlin = "Europe/Berlin"
    schedules = {
        "schedule_next_plain": (Schedule(cron="15 */5 8-18 * * *", timezone=berlin), TIMES),
        "schedule_next_exclude": (Schedule(cron="0 */10 * * * *", timezone=berlin, exclude=["2026-12-25", "* 0-5 * * *"]), TIMES // 4),
        "schedule_next_yearly": (Schedule(cron="0 0 3 29 2 *", timezone=berlin), TIMES // 40),
    }
    return [
        result(
            name, [_next_cost(schedule, times) for _ in range(ROUNDS)], "us", f"{times} firings one after the other; {schedule.spec.cron}"
        )
        for name, (schedule, times) in schedules.items()
    ]


def _next_cost(schedule: Schedule, times: int) -> float:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    after, done = start, 0
    began = time.perf_counter()
    while done < times:
        after = schedule.next(after) or start
        done += 1
    return (time.perf_counter() - began) / times * 1e6
