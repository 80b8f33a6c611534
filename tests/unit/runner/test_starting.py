"""An exclusive attempt: its lock, its start, control's word, and only then a slot and its code."""

import asyncio
import threading
import time
from collections import Counter

import pytest
from msgspec import structs

from ledger.config.settings import Limits
from ledger.context import Context
from ledger.core.orders import Order
from tests.unit.runner.runner_fakes import World, accepted, offer, record_of, said

KEY, LOCK = "key:sync:7", "jobledger:lock:key:sync:7"


def claim(nth: int) -> str:
    return f"jobledger:claim:{offer(nth).execution_id}:{offer(nth).token}"


async def test_code_begins_under_the_lock_after_control_accepted_its_start(world: World, ran: list[int]) -> None:
    world.answers = False
    one, runner = offer(2, data=2, key=KEY), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: len(said(world, 2)) == 1)
    (start,) = said(world, 2)
    assert (start.outcome, start.progress, start.answer) == (None, None, "jobledger:orders:worker-1")
    assert world.locks.there == {LOCK: f"{one.token} worker-1"}
    assert ran == [] and runner.held_claims() == [claim(2)]
    runner.obey(accepted(one))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    await world.locks.until(lambda: world.locks.there == {})
    assert ran == [2]
    assert [report.outcome for report in said(world, 2)] == [None, "completed"]
    runner.obey(accepted(one))  # the answer to a repeat
    runner.take(record_of(one))  # and the offer once more
    runner.take(record_of(offer(4, data=4)))
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert ran == [2, 4]


@pytest.mark.parametrize("suspect", ["offered again", "a second attempt"])
async def test_what_may_have_killed_a_worker_begins_after_control_accepted_its_start(world: World, ran: list[int], suspect: str) -> None:
    world.answers, world.limits = False, Limits(slots=1, shutdown_grace=0.05)
    one = structs.replace(offer(2, data=2), again=1) if suspect == "offered again" else offer(2, data=2, attempt=2)
    runner = world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: len(said(world, 2)) == 1)
    assert ran == [] and said(world, 2)[0].answer is not None and runner.held_claims() == [claim(2)]
    assert world.locks.batches == []
    runner.obey(accepted(one))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    runner.take(record_of(offer(4, data=4)))  # the slot is free again
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert ran == [2, 4]


async def test_locks_that_are_wanted_at_a_moment_are_taken_and_let_go_together(world: World, ran: list[int]) -> None:
    world.begin().take(record_of(*(offer(nth, data=nth, key=f"key:sync:{nth}") for nth in range(0, 20, 2))))
    await world.sender.until(lambda: len(world.sender.ends) == 10)
    await world.locks.until(lambda: world.locks.there == {})
    assert [len(batch) for batch in world.locks.batches] == [10]
    assert len(world.locks.let_gone) <= 2 and sorted(ran) == list(range(0, 20, 2))


async def test_a_start_that_nobody_answers_is_told_again_then_handed_back(
    world: World, ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processors.runner.starting.ASKED_AGAIN", 0.02)
    monkeypatch.setattr("processors.runner.starting.UNANSWERED", 0.25)
    monkeypatch.setattr("processors.runner.starting.TICK", 0.01)
    world.answers = False
    one, runner = offer(2, data=2, key=KEY), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    reports = said(world, 2)
    assert [report.outcome for report in reports[:-1]] == [None] * (len(reports) - 1) and len(reports) > 3
    assert {report.answer for report in reports[:-1]} == {"jobledger:orders:worker-1"}
    assert (reports[-1].outcome, reports[-1].run_ms) == ("handed_back", 0)
    await world.locks.until(lambda: world.locks.there == {})
    runner.obey(accepted(one))  # too late
    assert ran == [] and runner.held_claims() == []


async def test_a_refused_start_leaves_nothing_behind(world: World, ran: list[int]) -> None:
    world.answers, world.limits = False, Limits(slots=1)
    refused, runner = offer(2, data=2, key=KEY), world.begin()
    runner.take(record_of(refused))
    await world.sender.until(lambda: bool(said(world, 2)))
    runner.obey(Order(refused.execution_id, "fenced", refused.token))
    await world.locks.until(lambda: world.locks.there == {})
    world.answers = True
    runner.take(record_of(offer(4, data=4, key=KEY)))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert ran == [4] and len(said(world, 2)) == 1


async def test_what_is_cancelled_before_its_code_began_is_handed_back(world: World, ran: list[int]) -> None:
    world.answers = False
    one, runner = offer(2, data=2, key=KEY), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: bool(said(world, 2)))
    runner.obey(Order(one.execution_id, "cancelled", one.token))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert [report.outcome for report in said(world, 2)] == [None, "handed_back"] and ran == []


async def test_while_another_holds_the_lock_it_waits_and_tells_nothing(world: World, ran: list[int]) -> None:
    world.locks.there[LOCK] = "1 somebody"
    world.begin().take(record_of(offer(2, data=2, key=KEY), offer(4, data=4, key="key:sync:8")))
    await world.sender.until(lambda: len(world.sender.ends) == 1)
    await world.locks.until(lambda: len(world.locks.batches) >= 4)
    assert ran == [4] and said(world, 2) == []
    del world.locks.there[LOCK]
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert ran == [4, 2]


@pytest.mark.parametrize("why", ["another holds it", "nobody answers"])
async def test_a_lock_that_is_not_to_be_had_costs_the_offer_not_the_worker(world: World, ran: list[int], why: str) -> None:
    world.limits = Limits(slots=1, lease=0.3, shutdown_grace=0.05)
    world.locks.away = why == "nobody answers"
    world.locks.there[LOCK] = "1 somebody"
    one, runner = offer(2, data=2, key=KEY), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: world.sender.returned == {"locked": [one.execution_id]})
    assert world.claims.let_gone == [claim(2)] and runner.held_claims() == []
    assert len(world.locks.batches) < 20  # no spinning
    world.locks.there.clear()
    world.locks.away = False
    world.claims.mine.add(claim(2))  # it was not let go: that may fail
    runner.take(record_of(structs.replace(one, again=1)))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert ran == [2]


async def test_a_slot_is_taken_only_when_the_code_begins(world: World) -> None:
    world.answers, world.limits = False, Limits(slots=1, shutdown_grace=0.05)
    go, began = asyncio.Event(), Counter[str]()

    async def sync(ctx: Context) -> None:
        began[ctx.execution_id] += 1
        await go.wait()

    world.jobs.job("sync")(sync)
    exclusive, runner = offer(2, key=KEY), world.begin()
    runner.take(record_of(exclusive))
    await world.sender.until(lambda: bool(said(world, 2)))
    runner.take(record_of(offer(4)))
    await world.sender.until(lambda: bool(said(world, 4)))
    runner.obey(accepted(exclusive))
    await asyncio.sleep(0)
    assert list(began) == [offer(4).execution_id]
    go.set()
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert list(began) == [offer(4).execution_id, exclusive.execution_id]


async def test_what_was_accepted_and_finds_no_slot_soon_is_handed_back(world: World) -> None:
    world.answers, world.limits = False, Limits(slots=1, shutdown_grace=0.05)
    go = asyncio.Event()

    async def sync() -> None:
        await go.wait()

    world.jobs.job("sync")(sync)
    exclusive, runner = offer(2, key=KEY), world.begin()
    runner.take(record_of(exclusive))
    await world.sender.until(lambda: bool(said(world, 2)))
    runner.take(record_of(offer(4)))
    await world.sender.until(lambda: bool(said(world, 4)))
    runner.obey(accepted(exclusive))
    await world.sender.until(lambda: bool(world.sender.ends))
    assert [report.outcome for report in said(world, 2)] == [None, "handed_back"]
    await world.locks.until(lambda: world.locks.there == {})
    go.set()


async def test_a_draining_worker_starts_nothing(world: World, ran: list[int]) -> None:
    world.answers = False
    world.locks.there["jobledger:lock:key:sync:8"] = "1 somebody"
    asked, locking, runner = offer(2, data=2, key=KEY), offer(4, data=4, key="key:sync:8"), world.begin()
    runner.take(record_of(asked, locking))
    await world.sender.until(lambda: bool(said(world, 2)))
    assert await runner.drain()
    assert [report.outcome for report in said(world, 2)] == [None, "handed_back"]
    assert world.sender.returned == {"draining": [locking.execution_id]}
    assert world.locks.there == {"jobledger:lock:key:sync:8": "1 somebody"} and ran == []


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_code_does_not_begin_in_a_process_that_stood_still_after_its_start_was_accepted(world: World, kind: str) -> None:
    begun, one = [], offer(2, key=KEY)
    world.answers, world.limits, world.locks.life = False, world.limits.model_copy(update={"lease": 0.4}), 0.4

    async def as_coroutine() -> None:
        begun.append("coroutine")

    world.jobs.job("sync")((lambda: begun.append("thread")) if kind == "thread" else as_coroutine)
    runner = world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: bool(said(world, 2)))
    runner.obey(accepted(one))
    time.sleep(0.45)  # noqa: ASYNC251  # frozen: the code's first step was due, and the lock has ended meanwhile
    await world.sender.until(lambda: bool(world.sender.ends))
    assert begun == [] and [report.outcome for report in world.sender.ends] == ["handed_back"]


# While it runs


@pytest.mark.parametrize("asked_by", ["its time", "control"])
@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_the_lock_is_held_until_the_code_has_ended(world: World, kind: str, asked_by: str) -> None:
    asked, go = threading.Event(), threading.Event()

    def in_thread(ctx: Context) -> None:
        while not ctx.cancelled:
            go.wait(0.002)
        asked.set()
        go.wait()

    async def as_coroutine() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asked.set()
            await asyncio.to_thread(go.wait)  # cleans up for long
            raise

    world.jobs.job("sync", timeout="20ms" if asked_by == "its time" else "1h")(in_thread if kind == "thread" else as_coroutine)
    world.limits = world.limits.model_copy(update={"shutdown_grace": 5.0})
    one, runner = offer(2, key=KEY), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: bool(said(world, 2)))
    if asked_by == "control":
        await asyncio.sleep(0.01)
        runner.obey(Order(one.execution_id, "cancelled", one.token))
    await asyncio.to_thread(asked.wait)
    await asyncio.sleep(0.02)
    assert LOCK in world.locks.there and world.sender.ends == []
    go.set()
    await world.sender.until(lambda: bool(world.sender.ends))
    await world.locks.until(lambda: world.locks.there == {})


async def running(world: World) -> None:
    """One whose code runs until it is asked to stop."""

    began = asyncio.Event()

    async def sync() -> None:
        began.set()
        await asyncio.Event().wait()

    world.jobs.job("sync")(sync)
    world.begin().take(record_of(offer(2, key=KEY)))
    async with asyncio.timeout(5):
        await began.wait()


async def test_a_lock_that_is_gone_is_written_anew(world: World) -> None:
    world.limits = world.limits.model_copy(update={"lease": 0.3})
    world.locks.life = 60
    await running(world)
    world.locks.there.clear()  # FLUSHALL
    assert await asyncio.to_thread(renewed_after_a_while, world)
    assert world.locks.there == {LOCK: f"{offer(2).token} worker-1"}
    assert world.sender.ends == []


def renewed_after_a_while(world: World) -> bool:
    """As the lease's thread does it; a lock that is young is left alone."""
    for _ in range(1000):
        all_well = world.runner.renew_locks()
        if world.locks.renewed:
            return all_well
        threading.Event().wait(0.002)
    return False


async def test_code_whose_lock_is_another_grants_is_stopped_and_not_let_go_for_it(world: World) -> None:
    world.limits = world.limits.model_copy(update={"lease": 0.3})
    world.locks.life = 60
    await running(world)
    world.locks.there[LOCK] = "999 somebody"
    assert not await asyncio.to_thread(renewed_after_a_while, world)
    await world.sender.until(lambda: bool(world.sender.ends))
    assert [report.outcome for report in world.sender.ends] == ["handed_back"]
    assert world.locks.there == {LOCK: "999 somebody"}


async def test_code_is_stopped_before_a_lock_ends_that_is_not_renewed(world: World) -> None:
    world.limits = world.limits.model_copy(update={"lease": 0.4})
    world.locks.life = 0.4
    began = asyncio.get_running_loop().time()
    await running(world)
    world.locks.away = True
    await world.sender.until(lambda: bool(world.sender.ends))
    assert asyncio.get_running_loop().time() - began < 0.4
    assert [report.outcome for report in world.sender.ends] == ["handed_back"]


@pytest.mark.parametrize("draining", [False, True])
async def test_code_that_does_not_mind_its_lock_ends_with_its_process_when_the_lock_does(world: World, draining: bool) -> None:
    go = threading.Event()
    world.jobs.job("sync")(lambda: go.wait() and None)
    world.limits = world.limits.model_copy(update={"lease": 0.4, "shutdown_grace": 0.2 if draining else 60.0})
    world.locks.life = 0.4
    began, runner = asyncio.get_running_loop().time(), world.begin()
    runner.take(record_of(offer(2, key=KEY)))
    await world.sender.until(lambda: bool(said(world, 2)))
    leaving = asyncio.create_task(runner.drain()) if draining else None
    assert await asyncio.to_thread(world.overrun.wait, 5)
    assert asyncio.get_running_loop().time() - began < 0.6, "another may take the lock when it ends"
    assert LOCK in world.locks.there and world.sender.ends == [] and not world.stuck.is_set()
    go.set()
    if leaving is not None:
        await leaving


async def test_code_that_keeps_the_loop_busy_ends_with_its_process_when_its_lock_does(world: World) -> None:
    world.limits = world.limits.model_copy(update={"lease": 0.4})
    world.locks.life = 0.4
    ended_after: list[float] = []

    async def sync() -> None:
        began = time.monotonic()
        if world.overrun.wait(5):
            ended_after.append(time.monotonic() - began)

    world.jobs.job("sync")(sync)
    world.begin().take(record_of(offer(2, key=KEY)))
    await world.sender.until(lambda: bool(world.sender.ends))
    (seconds,) = ended_after
    assert seconds < 0.6, "another may take the lock when it ends"


async def test_a_lock_is_watched_also_where_the_watch_ended_between_two_looks_of_the_loop(world: World) -> None:
    world.limits = world.limits.model_copy(update={"lease": 0.8})
    world.locks.life = 0.8
    go, busy, others = asyncio.Event(), threading.Event(), set(threading.enumerate())

    async def sync(number: int) -> None:
        if number == 2:
            await go.wait()
        elif world.overrun.wait(5):
            busy.set()

    world.jobs.job("sync")(sync)
    runner = world.begin()
    runner.take(record_of(offer(2, data=2, key=KEY)))
    await world.sender.until(lambda: bool(said(world, 2)))
    (watch,) = (thread for thread in set(threading.enumerate()) - others if thread.name == "lock-watch")
    time.sleep(0.06)  # noqa: ASYNC251  # so that the loop looks later than the watch, from here on
    go.set()
    await asyncio.to_thread(watch.join)
    runner.take(record_of(offer(4, data=4, key=KEY)))
    await world.sender.until(lambda: len(world.sender.ends) == 2)
    assert busy.is_set()


async def test_a_loop_that_is_busy_with_other_code_costs_an_exclusive_one_that_has_not_begun_nothing(world: World, ran: list[int]) -> None:
    world.answers, world.limits, world.locks.life = False, world.limits.model_copy(update={"lease": 0.4}), 0.4
    one, runner = offer(2, data=2, key=KEY), world.begin()
    runner.take(record_of(one))
    await world.sender.until(lambda: bool(said(world, 2)))
    assert not world.overrun.wait(0.6)
    await world.sender.until(lambda: bool(world.sender.ends))
    assert ran == [] and not world.overrun.is_set()
