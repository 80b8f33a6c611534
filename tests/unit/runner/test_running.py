"""Code that runs: its time, its progress, and being asked to stop."""

import asyncio
import logging
import threading
import time
from itertools import count

import pytest
import uvloop
from msgspec import structs

from ledger.context import Context
from ledger.core.ids import Token
from ledger.core.options import Options
from ledger.core.orders import Order, Why
from ledger.terms import Exclusive, Retry
from tests.unit.runner.runner_fakes import World, offer, record_of


async def ended(world: World, count: int = 1) -> None:
    await world.sender.until(lambda: len(world.sender.ends) >= count)


async def test_a_coroutine_that_takes_too_long_is_cancelled_and_has_timed_out(world: World) -> None:
    @world.jobs.job("slow", timeout="20ms", retries=Retry(attempts=2, backoff="fixed", first="7ms"))
    async def slow() -> None:
        await asyncio.Event().wait()

    world.begin().take(record_of(offer(0, "slow")))
    await ended(world)
    (report,) = world.sender.ends
    assert (report.outcome, report.error_type, report.retry_after_ms, report.timeout_ms) == ("timed_out", "Timeout", 7, 20)
    assert report.run_ms >= 20


async def test_the_executions_own_timeout_goes_before_the_handlers(world: World) -> None:
    @world.jobs.job("slow")
    async def slow() -> None:
        await asyncio.Event().wait()

    world.begin().take(record_of(offer(0, "slow", options=Options(timeout_ms=10))))
    await ended(world)
    assert world.sender.ends[0].timeout_ms == 10


async def test_a_plain_function_runs_in_a_thread_and_keeps_its_slot_until_its_code_has_ended(world: World) -> None:
    inside, go = threading.Event(), threading.Event()
    where: list[str] = []

    @world.jobs.job("slow", timeout="10ms", concurrency=1)
    def slow(ctx: Context) -> None:
        where.append(threading.current_thread().name)
        inside.set()
        while not ctx.cancelled:
            go.wait(0.005)
        go.wait()

    world.limits = world.limits.model_copy(update={"shutdown_grace": 5.0})
    world.begin().take(record_of(offer(0, "slow"), offer(2, "slow")))
    await asyncio.to_thread(inside.wait)
    await world.sender.until(lambda: bool(world.sender.reports))
    assert len(where) == 1
    assert "MainThread" not in where
    go.set()
    await ended(world, 2)
    assert {report.outcome for report in world.sender.ends} == {"timed_out"}


async def test_code_that_ignores_the_end_of_its_time_is_reported_as_stuck(world: World) -> None:
    go = threading.Event()

    @world.jobs.job("stubborn", timeout="10ms")
    def stubborn() -> None:
        go.wait()

    runner = world.begin()
    runner.take(record_of(offer(0, "stubborn")))
    async with asyncio.timeout(5):
        await world.stuck.wait()
    assert not await runner.drain()
    assert [report.outcome for report in world.sender.ends] == ["timed_out"]
    go.set()


def test_code_whose_time_is_up_before_its_first_step_never_begins_and_has_timed_out() -> None:
    """Under uvloop, whose timers go before all that is ready; another keeps the loop busy between the start and the first step."""
    ran: list[str] = []

    async def main() -> None:
        world, go = World(), asyncio.Event()

        @world.jobs.job("other")
        async def other() -> None:
            await go.wait()
            time.sleep(0.1)  # noqa: ASYNC251  # it does not mind others

        @world.jobs.job("quick", timeout="50ms")
        async def quick() -> None:
            ran.append("quick")

        runner = world.begin()
        runner.take(record_of(offer(0, "other")))
        await world.sender.until(lambda: bool(world.sender.reports))
        runner.take(record_of(offer(2, "quick")))
        go.set()
        await ended(world, 2)
        assert sorted(report.outcome or "" for report in world.sender.ends) == ["completed", "timed_out"]
        await asyncio.wait_for(runner.finish(), 1)
        assert not world.stuck.is_set()
        await world.end()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main())
    assert ran == []


async def test_of_stuck_code_that_excludes_others_nothing_is_said_before_its_process_is_gone(world: World) -> None:
    go, inside = threading.Event(), threading.Event()

    @world.jobs.job("stubborn")
    def stubborn() -> None:
        inside.set()
        go.wait()

    runner = world.begin()
    runner.take(record_of(offer(0, "stubborn", key="job:stubborn")))
    await asyncio.to_thread(inside.wait)
    assert not await runner.drain()
    assert world.sender.ends == [] and world.locks.let_gone == []
    go.set()


@pytest.mark.parametrize("asked_by", ["its time", "control"])
@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_an_attempt_that_was_asked_to_stop_has_not_ended_while_its_code_goes_on(world: World, kind: str, asked_by: str) -> None:
    asked, go = threading.Event(), threading.Event()
    timeout = "10ms" if asked_by == "its time" else "1h"

    def in_thread(ctx: Context) -> None:
        while not ctx.cancelled:
            go.wait(0.002)
        asked.set()
        go.wait()
        ctx.raise_if_cancelled()

    async def as_coroutine() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asked.set()
            await asyncio.to_thread(go.wait)  # cleans up for long
            raise

    world.jobs.job("one", timeout=timeout, exclusive=Exclusive("job"))(in_thread if kind == "thread" else as_coroutine)
    world.limits = world.limits.model_copy(update={"shutdown_grace": 5.0})
    one, runner = offer(0, "one"), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: bool(world.sender.reports))
    if asked_by == "control":
        runner.obey(Order(one.execution_id, "cancelled", one.token))
    await asyncio.to_thread(asked.wait)
    await asyncio.sleep(0.02)
    assert world.sender.ends == [] and len(runner.held_claims()) == 1
    go.set()
    await ended(world)
    assert [report.outcome for report in world.sender.ends] == ["timed_out" if asked_by == "its time" else "cancelled"]
    assert runner.held_claims() == [] and not world.stuck.is_set()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
async def test_whatever_code_raises_is_the_attempts_failure_and_not_ours(world: World, error: BaseException) -> None:
    @world.jobs.job("async")
    async def in_task() -> None:
        raise error

    @world.jobs.job("thread")
    def in_thread() -> None:
        raise error

    world.begin().take(record_of(offer(0, "async"), offer(2, "thread")))
    await ended(world, 2)
    assert {(report.outcome, report.error_type) for report in world.sender.ends} == {("failed", type(error).__name__)}


@pytest.mark.parametrize("failure", [SystemExit(3), asyncio.CancelledError()])
async def test_an_error_whose_text_fails_costs_its_attempt_alone(world: World, failure: BaseException) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise failure

    @world.jobs.job("async")
    async def in_task() -> None:
        raise Mute

    @world.jobs.job("thread")
    def in_thread() -> None:
        raise Mute

    world.begin().take(record_of(offer(0, "async"), offer(2, "thread")))
    await ended(world, 2)
    assert {(report.outcome, report.error_type) for report in world.sender.ends} == {("failed", "Mute")}


async def test_progress_is_told_at_once_then_twice_a_second_and_the_last_one_always(world: World) -> None:
    go = asyncio.Event()

    @world.jobs.job("steps")
    async def steps(ctx: Context) -> None:
        for percent in range(0, 101, 10):
            await ctx.progress(percent, f"{percent} of 100")
        await go.wait()

    world.begin().take(record_of(offer(0, "steps")))
    await world.sender.until(lambda: any(report.progress == 100 for report in world.sender.reports))
    told = [report.progress for report in world.sender.reports if report.progress is not None]
    assert len(told) <= 3
    assert told[-1] == 100
    go.set()
    await ended(world)


async def test_progress_from_a_thread_just_before_its_end_is_told_before_the_end(world: World) -> None:
    @world.jobs.job("steps")
    def steps(ctx: Context) -> None:
        ctx.progress(40, "a\0b" + "x" * 600)
        ctx.progress(140)

    world.begin().take(record_of(offer(0, "steps")))
    await ended(world)
    assert [report.progress for report in world.sender.reports if report.progress is not None][-1] == 100
    assert world.sender.reports[-1].outcome == "completed"
    assert all("\0" not in (report.note or "") and len(report.note or "") <= 500 for report in world.sender.reports)


async def test_a_failure_is_logged_with_its_traceback(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    @world.jobs.job("bad")
    async def bad() -> None:
        raise ValueError("no such customer")

    world.begin().take(record_of(offer(0, "bad")))
    await ended(world)
    assert world.sender.ends[0].error_message == "no such customer"


# Orders of control


@pytest.mark.parametrize(
    ("why", "names_it", "outcome"),
    [("cancelled", "token", "cancelled"), ("fenced", "token", "handed_back"), ("fenced", "attempt", "handed_back")],
)
async def test_code_stops_when_control_wants_it_to(world: World, why: Why, names_it: str, outcome: str) -> None:
    cleaned_up: list[str] = []

    @world.jobs.job("slow")
    async def slow(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(ctx.execution_id)

    wanted, other = offer(0, "slow"), offer(2, "slow")
    runner = world.begin()
    runner.take(record_of(wanted, other))
    await world.sender.until(lambda: len(world.sender.reports) == 2)
    runner.obey(Order(wanted.execution_id, why, Token(wanted.token - 1), attempt=0))  # an older grant
    runner.obey(Order(wanted.execution_id, why, **{names_it: getattr(wanted, names_it)}))
    await ended(world)
    assert [(report.execution_id, report.outcome) for report in world.sender.ends] == [(wanted.execution_id, outcome)]
    assert cleaned_up == [wanted.execution_id]


async def test_code_that_does_not_mind_an_order_runs_out_of_its_time_as_ever(world: World) -> None:
    go = threading.Event()

    @world.jobs.job("stubborn", timeout="100ms")
    def stubborn() -> None:
        go.wait()

    runner = world.begin()
    runner.take(record_of(offer(0, "stubborn")))
    await world.sender.until(lambda: bool(world.sender.reports))
    runner.obey(Order(offer(0).execution_id, "cancelled", offer(0).token))
    async with asyncio.timeout(5):
        await world.stuck.wait()
    go.set()
    await ended(world)
    assert [report.outcome for report in world.sender.ends] == ["timed_out"]


# What somebody cancels


def by_a_person(world: World, number: int = 0) -> Order:
    return Order(offer(number).execution_id, "cancelled", offer(number).token, reason="asked")


async def test_who_looks_whether_it_is_cancelled_ends_by_itself(world: World) -> None:
    world.limits = world.limits.model_copy(update={"cancel_grace": 60.0})
    cleaned_up = asyncio.Event()

    @world.jobs.job("polite")
    async def polite(ctx: Context) -> None:
        for percent in count():
            await ctx.progress(percent % 100)
            await asyncio.sleep(0.002)
            if ctx.cancelled:
                cleaned_up.set()
            ctx.raise_if_cancelled()

    runner = world.begin()
    runner.take(record_of(offer(0, "polite")))
    await world.sender.until(lambda: bool(world.sender.reports))
    for _ in range(2):  # told again, as control does until it has ended
        runner.obey(by_a_person(world))
    await ended(world)
    assert cleaned_up.is_set()
    assert [report.outcome for report in world.sender.ends] == ["cancelled"]


async def test_a_coroutine_that_does_not_look_has_its_grace_and_is_cancelled_then(world: World) -> None:
    world.limits = world.limits.model_copy(update={"cancel_grace": 0.2})
    saw: list[bool] = []

    @world.jobs.job("deaf")
    async def deaf(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            saw.append(ctx.cancelled)

    runner = world.begin()
    runner.take(record_of(offer(0, "deaf")))
    await world.sender.until(lambda: bool(world.sender.reports))
    asked = asyncio.get_running_loop().time()
    runner.obey(by_a_person(world))
    await ended(world)
    assert asyncio.get_running_loop().time() - asked >= 0.15
    assert ([report.outcome for report in world.sender.ends], saw) == (["cancelled"], [True])
    assert not world.stuck.is_set()


async def test_what_does_not_mind_a_schedule_is_made_to_stop_for_a_person(world: World) -> None:
    world.limits = world.limits.model_copy(update={"cancel_grace": 0.1})
    go = threading.Event()

    @world.jobs.job("stone")
    def stone() -> None:
        go.wait()

    runner = world.begin()
    runner.take(record_of(offer(0, "stone")))
    await world.sender.until(lambda: bool(world.sender.reports))
    try:
        for order in [structs.replace(by_a_person(world), reason="cancel_other"), by_a_person(world)]:
            runner.obey(order)
        async with asyncio.timeout(5):
            await world.stuck.wait()
    finally:
        go.set()
    await ended(world)


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_what_cannot_be_made_to_stop_ends_with_its_process(world: World, kind: str) -> None:
    go = threading.Event()

    def stone() -> None:
        go.wait()

    async def swallows() -> None:
        while not go.is_set():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

    world.jobs.job("stone", timeout="1h")(stone if kind == "thread" else swallows)
    runner = world.begin()
    runner.take(record_of(offer(0, "stone")))
    await world.sender.until(lambda: bool(world.sender.reports))
    runner.obey(by_a_person(world))
    async with asyncio.timeout(5):
        await world.stuck.wait()
    assert world.sender.ends == []
    assert not await runner.drain()
    assert [report.outcome for report in world.sender.ends] == ["handed_back"]  # of what was cancelled, control makes its end
    go.set()


async def test_what_completes_all_the_same_has_completed(world: World) -> None:
    @world.jobs.job("quick")
    async def quick(ctx: Context) -> str:
        for percent in count():
            await ctx.progress(percent % 100)
            await asyncio.sleep(0.002)
            if ctx.cancelled:
                break
        return "done"

    runner = world.begin()
    runner.take(record_of(offer(0, "quick")))
    await world.sender.until(lambda: bool(world.sender.reports))
    runner.obey(by_a_person(world))
    await ended(world)
    assert [report.outcome for report in world.sender.ends] == ["completed"]
