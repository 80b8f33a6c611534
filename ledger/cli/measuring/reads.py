"""Reads: lists with filters, page after page, and single executions, on tables of a million, written as a rebuild writes them."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from msgspec import Raw

from ledger.cli.measuring.bed import Bed, Say, bed
from ledger.cli.measuring.result import Result, percentile, result
from ledger.config import Settings
from ledger.core import execution
from ledger.core.chain import Head
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from ledger.kafka.opening import check_identity
from projections.building import Building
from projections.builtin import TABLES
from projections.connecting import connect
from projections.folds import fold_of
from projections.patches import Changes, Place
from projections.reads import Reads, open_reads
from projections.rows import ExecutionFilter
from projections.tail import Reached, Stretch

JOBS: Final = 40
TENANTS: Final = 500
IN_A_COMMIT: Final = 100
A_PAGE: Final = 50
BEGAN: Final = 1_790_000_000_000_000  # microseconds since 1970
APART: Final = 50_000  # microseconds between requests
STATES: Final = ("completed",) * 90 + ("failed",) * 5 + ("lost",) + ("waiting",) * 3 + ("active",)

LISTS: Final[dict[str, Callable[[random.Random], ExecutionFilter]]] = {
    "all": lambda chance: ExecutionFilter(),
    "job": lambda chance: ExecutionFilter(job=f"job-{chance.randrange(JOBS)}"),
    "state": lambda chance: ExecutionFilter(state=chance.choice(["failed", "lost", "waiting", "active", "completed"])),
    "tenant": lambda chance: ExecutionFilter(tenant=f"tenant-{chance.randrange(TENANTS)}"),
    "job_and_state": lambda chance: ExecutionFilter(job=f"job-{chance.randrange(JOBS)}", state="failed"),
    "tenant_and_state": lambda chance: ExecutionFilter(tenant=f"tenant-{chance.randrange(TENANTS)}", state=("waiting", "active")),
    "labels": lambda chance: ExecutionFilter(labels={"team": f"team-{chance.randrange(50)}"}),
}


async def measure(settings: Settings, say: Say, *, executions: int, reads: int) -> list[Result]:
    """The 95th percentile of each kind of question."""
    async with bed(settings, say, work=False) as made:
        say(f"writing {executions} executions")
        await _write(made, executions)
        how = f"{reads} questions each, one after the other, on {executions} executions of {JOBS} jobs and {TENANTS} tenants"
        async with open_reads(made.settings) as opened:
            lists = await _lists(opened, reads)
            shows = await _times(reads, lambda chance: opened.execution(_id(chance.randrange(executions))))
    worst = max(lists.values(), key=lambda times: percentile(times, 0.95))
    figures = {name: round(percentile(times, 0.95), 2) for name, times in lists.items()}
    return [
        result(
            "list_p95", [percentile(worst, 0.95)], "ms", f"{how}: the slowest filter; pages of {A_PAGE}, the first or any later", figures
        ),
        result("show_p95", [percentile(shows, 0.95)], "ms", how),
    ]


async def _lists(reads: Reads, count: int) -> dict[str, list[float]]:
    return {name: await _list(reads, count, question) for name, question in LISTS.items()}


async def _list(reads: Reads, count: int, question: Callable[[random.Random], ExecutionFilter]) -> list[float]:
    cursors: list[str | None] = [None]

    async def ask(chance: random.Random) -> object:
        page = await reads.executions(question(chance), cursor=chance.choice(cursors), limit=A_PAGE)
        if page.next is not None and len(cursors) < 100:
            cursors.append(page.next)
        return page

    return await _times(count, ask)


async def _times(count: int, ask: Callable[[random.Random], Awaitable[object]]) -> list[float]:
    """Milliseconds each; the first ones open connections and do not count."""
    chance, times = random.Random(1), list[float]()  # noqa: S311  # the same questions at each run
    for number in range(count + 10):
        began = time.perf_counter()
        if await ask(chance) is None:
            raise AssertionError("an execution was not found")
        if number >= 10:
            times.append((time.perf_counter() - began) * 1000)
    return times


async def _write(made: Bed, executions: int) -> None:
    """By the folds and the SQL of a rebuild, without a log behind it."""
    identity, schema = await check_identity(made.settings), made.settings.database.table_schema
    with connect(made.settings) as connection:
        building = Building(connection, schema, TABLES, {})
        await asyncio.to_thread(building.open, identity, begin=True)
        for changes in _pieces(executions):
            await asyncio.to_thread(building.write, changes, None)
        place = Stretch(identity.log_id, Head("events", 0), Reached(Head("events", 0, executions // IN_A_COMMIT + 1)), Changes())
        await asyncio.to_thread(building.seal, [place])
        await asyncio.to_thread(building.add_indexes)
        await asyncio.to_thread(lambda: building.swap(keep=False))


def _pieces(executions: int) -> Iterator[Changes]:
    chance, fold = random.Random(2), fold_of("events", 4)  # noqa: S311  # the same rows at each run
    for first in range(0, executions, 10_000):
        changes = Changes()
        for number in range(first, min(first + 10_000, executions)):
            seq = number // IN_A_COMMIT + 2
            for index, event in enumerate(_life(number, chance)):
                at = BEGAN + number * APART + index * 100_000
                fold(changes, event, Place(0, seq, seq - 1, at), number % IN_A_COMMIT * 3 + index)
        yield changes


def _life(number: int, chance: random.Random) -> Iterator[execution.Event]:
    named, job, state = ExecutionId(_id(number)), f"job-{chance.randrange(JOBS)}", chance.choice(STATES)
    yield execution.Requested(
        named,
        job,
        job,
        1,
        "on_demand",
        "default",
        Micros(BEGAN + number * APART),
        tenant=f"tenant-{int(chance.paretovariate(0.7)) % TENANTS}",
        labels={"team": f"team-{chance.randrange(50)}"} if chance.random() < 0.1 else None,
        command_id=named[:-2],
        data=Raw(b'{"i":%d,"pad":"%s"}' % (number, b"x" * 80)),
    )
    if state == "waiting":
        return
    yield execution.Started(named, 1, Token(number), WorkerId("bench"), 3)
    if state == "completed":
        yield execution.Completed(named, 1, 20)
    elif state == "failed":
        yield execution.Failed(named, 1, "failed", "ValueError", "no", 20)
    elif state == "lost":
        yield execution.Lost(named, 1, WorkerId("bench"))


def _id(number: int) -> str:
    return f"{(BEGAN + number * APART) // 1000:012x}7{number * 2654435761 % 2**76:019x}-0"
