"""What is wrapped around handlers."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from ledger import CallNext, Cancel, Context, Exclusive, Jobs, Misconfigured
from tests.unit.runner.runner_fakes import World, offer, record_of

seen: ContextVar[str] = ContextVar("seen", default="nothing")


def noting(name: str, notes: list[str]) -> object:
    async def note(ctx: Context, call_next: CallNext) -> object:
        notes.append(f"{name} before {ctx.job_name}")
        try:
            return await call_next()
        finally:
            notes.append(f"{name} after")

    return note


async def ended(world: World, count: int = 1) -> None:
    await world.sender.until(lambda: len(world.sender.ends) >= count)


async def test_the_first_is_the_outermost_and_those_of_an_included_registry_stand_within() -> None:
    notes: list[str] = []
    inner = Jobs(middleware=[noting("inner", notes)])  # type: ignore[list-item]  # made by a function of the test

    @inner.job("sync")
    async def sync(data: int) -> int:
        notes.append("code")
        return data

    jobs = Jobs(middleware=[noting("first", notes), noting("second", notes)])  # type: ignore[list-item]
    jobs.include(inner)
    world = World(jobs=jobs)
    world.begin().take(record_of(offer(0, data=5)))
    await ended(world)
    assert notes == ["first before sync", "second before sync", "inner before sync", "code", "inner after", "second after", "first after"]
    assert bytes(world.sender.ends[0].result) == b"5"
    await world.end()


async def test_it_may_answer_instead_of_the_handler_change_its_result_and_fail() -> None:
    async def judge(ctx: Context, call_next: CallNext) -> object:
        if ctx.attempt == 2:
            return Cancel("not twice")
        if ctx.attempt == 3:
            raise LookupError("no third")
        return f"{await call_next()}!"

    world = World(jobs=Jobs(middleware=[judge]))

    @world.jobs.job("greet")
    def greet(data: str) -> str:
        return data

    world.begin().take(record_of(*(offer(2 * nth, "greet", attempt=nth, data="hello") for nth in (1, 2, 3))))
    await ended(world, 3)
    found = {report.outcome: report for report in world.sender.ends}
    assert bytes(found["completed"].result) == b'"hello!"'
    assert found["cancelled"].error_message == "not twice"
    assert (found["failed"].error_type, found["failed"].error_message) == ("LookupError", "no third")
    await world.end()


async def test_data_that_does_not_fit_is_refused_before() -> None:
    notes: list[str] = []
    world = World(jobs=Jobs(middleware=[noting("one", notes)]))  # type: ignore[list-item]

    @world.jobs.job("sync")
    async def sync(data: int) -> None:
        pass

    world.begin().take(record_of(offer(0, data="five")))
    await ended(world)
    assert world.sender.ends[0].error_type == "invalid_data" and notes == []
    await world.end()


async def test_what_it_sets_is_seen_by_a_coroutine_and_by_a_thread() -> None:
    async def sets(ctx: Context, call_next: CallNext) -> object:
        seen.set(ctx.job_name)
        return await call_next()

    world = World(jobs=Jobs(middleware=[sets]))

    @world.jobs.job("async")
    async def in_task() -> str:
        return seen.get()

    @world.jobs.job("thread")
    def in_thread() -> str:
        return seen.get()

    world.begin().take(record_of(offer(0, "async"), offer(2, "thread")))
    await ended(world, 2)
    assert {bytes(report.result) for report in world.sender.ends} == {b'"async"', b'"thread"'}
    await world.end()


async def test_one_that_gives_up_on_a_thread_is_not_let_go_before_its_code_has_ended() -> None:
    ended_at: list[str] = []

    async def impatient(ctx: Context, call_next: CallNext) -> object:
        try:
            async with asyncio.timeout(0.01):
                return await call_next()
        finally:
            ended_at.append("middleware")

    world = World(jobs=Jobs(middleware=[impatient]))

    @world.jobs.job("slow", exclusive=Exclusive("job"))
    def slow(ctx: Context) -> None:
        while not ctx.cancelled:
            threading.Event().wait(0.002)
        threading.Event().wait(0.05)
        ended_at.append("code")

    world.begin().take(record_of(offer(0, "slow")))
    await ended(world)
    assert ended_at == ["code", "middleware"]
    assert (world.sender.ends[0].outcome, world.sender.ends[0].error_type) == ("failed", "TimeoutError")
    await world.end()


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_an_iterator_that_is_used_up_in_the_code_within_is_its_failure(kind: str) -> None:
    async def passes_on(ctx: Context, call_next: CallNext) -> object:
        return await call_next()

    def in_thread() -> None:
        next(iter(()))

    async def as_coroutine() -> None:
        next(iter(()))

    world = World(jobs=Jobs(middleware=[passes_on]))
    world.jobs.job("one")(in_thread if kind == "thread" else as_coroutine)
    world.begin().take(record_of(offer(0, "one")))
    await ended(world)
    assert (world.sender.ends[0].outcome, world.sender.ends[0].error_type) == ("failed", "RuntimeError")
    assert "raised StopIteration" in (world.sender.ends[0].error_message or "")
    await world.end()


def test_a_plain_function_is_refused() -> None:
    with pytest.raises(Misconfigured, match="async def"):
        Jobs(middleware=[lambda ctx, call_next: call_next()])
