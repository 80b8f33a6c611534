"""What handlers submit from inside their attempts, with a client that keeps what it is given."""

import asyncio
import math
from itertools import count

import pytest
from msgspec import structs

from ledger import AttemptCancelled, Context, Exclusive, Misconfigured, Refused, Retry
from ledger.context import Submitted
from ledger.core.ids import Token
from ledger.core.orders import Order
from ledger.core.refusal import Unavailable
from ledger.submitting.children import Children
from processors.runner import child_submits, child_wire
from processors.runner.child_wire import HEAD, frame, from_child, to_child
from processors.runner.perform import InThread, in_task
from processors.runner.submits import Submits, Submitting
from tests.unit.runner.runner_fakes import FakeClient, FakeLocks, World, attempt_of, offer, record_of


def may_submit(world: World, client: FakeClient) -> Submits:
    submits = Submits(client.opening)
    world.ways |= {"async": Submitting(in_task, submits), "thread": Submitting(InThread(world.threads), submits)}
    return submits


async def ended(world: World, count: int = 1) -> None:
    await world.sender.until(lambda: len(world.sender.ends) >= count)


async def test_coroutines_and_threads_submit_through_one_client_that_the_first_opens(world: World) -> None:
    client = FakeClient()
    submits = may_submit(world, client)

    @world.jobs.job("one")
    async def one(ctx: Context) -> list[str]:
        made = [await ctx.submit("mail", {"n": n}) for n in range(2)]
        return [each.execution_id for each in made]

    @world.jobs.job("two")
    def two(ctx: Context) -> str:
        return ctx.submit_blocking("mail", {"n": 3}, tenant="other").execution_id

    @world.jobs.job("three")
    async def three() -> None: ...

    runner = world.begin()
    runner.take(record_of(offer(0, "three")))
    await ended(world)
    assert client.opened == 0
    runner.take(record_of(offer(2, "one", tenant="acme"), offer(4, "two", tenant="acme")))
    await ended(world, 3)
    assert {(report.outcome, report.error_message) for report in world.sender.ends} == {("completed", None)}
    sent = sorted((bytes(one.data), one.tenant) for one in client.sent)
    assert sent == [(b'{"n":0}', "acme"), (b'{"n":1}', "acme"), (b'{"n":3}', "other")]
    assert (len({one.command_id for one in client.sent}), client.opened, client.closed) == (3, 1, 0)
    await submits.close()
    assert client.closed == 1


async def test_another_attempt_submits_nothing_new(world: World) -> None:
    client = FakeClient()
    may_submit(world, client)
    known: list[bool] = []

    @world.jobs.job("one", retries=Retry(attempts=3))
    async def one(ctx: Context) -> None:
        made = await asyncio.gather(*(ctx.submit("mail", {"n": n}) for n in range(3)))
        known.extend(each.was_known for each in made)
        raise LookupError

    runner = world.begin()
    runner.take(record_of(offer(0, "one")))
    await ended(world)
    runner.take(record_of(structs.replace(offer(0, "one", attempt=2), token=Token(4711))))
    await ended(world, 2)
    assert known == [False] * 3 + [True] * 3 and len({one.command_id for one in client.sent}) == 3


async def test_a_refusal_is_raised_in_the_handler_which_may_catch_it(world: World) -> None:
    client = FakeClient(refused={"mail": Refused("unknown_job", "there is no mail")})
    may_submit(world, client)

    @world.jobs.job("one", retries=Retry(attempts=1))
    async def one(ctx: Context) -> str:
        try:
            await ctx.submit("mail")
        except Refused as refused:
            return refused.reason
        return ""

    @world.jobs.job("two", retries=Retry(attempts=1))
    def two(ctx: Context) -> None:
        ctx.submit_blocking("mail")

    world.begin().take(record_of(offer(0, "one"), offer(2, "two")))
    await ended(world, 2)
    caught, failed = sorted(world.sender.ends, key=lambda report: report.execution_id)
    assert bytes(caught.result) == b'"unknown_job"'
    assert (failed.outcome, failed.error_type, failed.error_message) == ("failed", "Refused", "unknown_job: there is no mail")


async def test_it_does_not_block_the_loop_and_nothing_is_submitted_once_the_attempt_has_ended(world: World) -> None:
    client = FakeClient()
    may_submit(world, client)
    kept: list[Context] = []

    @world.jobs.job("one", retries=Retry(attempts=1))
    async def one(ctx: Context) -> None:
        kept.append(ctx)
        ctx.submit_blocking("mail")

    world.begin().take(record_of(offer(0, "one")))
    await ended(world)
    assert "await ctx.submit" in (world.sender.ends[0].error_message or "")
    with pytest.raises(Refused, match="has ended"):
        await kept[0].submit("mail")
    assert client.sent == []


@pytest.mark.parametrize("why", ["cancelled", "fenced"])
async def test_nothing_is_submitted_by_what_has_to_stop(world: World, why: str) -> None:
    client = FakeClient()
    may_submit(world, client)
    raised: list[str] = []
    waits = asyncio.Event()
    loop = asyncio.get_running_loop()

    @world.jobs.job("one")
    async def one(ctx: Context) -> None:
        await ctx.progress(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                await ctx.submit("mail")
            except AttemptCancelled:
                raised.append("async")
                raise

    @world.jobs.job("two")
    def two(ctx: Context) -> None:
        ctx.progress(1)
        client.open.clear()
        loop.call_soon_threadsafe(waits.set)
        try:
            ctx.submit_blocking("mail")  # it waits for the decision when it is asked to stop
        except AttemptCancelled:
            raised.append("thread")
            raise

    runner = world.begin()
    runner.take(record_of(offer(0, "one"), offer(2, "two")))
    await world.sender.until(lambda: len({one.execution_id for one in world.sender.reports}) == 2)
    await asyncio.wait_for(waits.wait(), 5)
    for nth in (0, 2):
        runner.obey(Order(offer(nth).execution_id, "cancelled" if why == "cancelled" else "fenced", offer(nth).token))
    await ended(world, 2)
    assert sorted(raised) == ["async", "thread"] and client.sent == []
    assert {report.outcome for report in world.sender.ends} == {"cancelled" if why == "cancelled" else "handed_back"}


async def test_nothing_is_submitted_without_the_lock(world: World) -> None:
    client, locks = FakeClient(), FakeLocks(life=0.3)
    world.guarded_by = (locks, locks)
    may_submit(world, client)
    raised: list[bool] = []

    @world.jobs.job("one", exclusive=Exclusive("job"))
    def one(ctx: Context) -> None:
        ctx.submit_blocking("mail", key="first")
        until = asyncio.run(past_its_lock(ctx))
        raised.append(until)

    async def past_its_lock(ctx: Context) -> bool:
        async with asyncio.timeout(5):
            while True:
                await asyncio.sleep(0.02)
                try:
                    await ctx.submit("mail", key="again")
                except AttemptCancelled:
                    return True

    world.begin().take(record_of(offer(0, "one", key="job:one")))
    await ended(world)
    assert raised == [True]


def test_the_client_is_there_under_the_name_by_which_it_is_loaded() -> None:
    from importlib import import_module

    from processors.runner.submits import CLIENT

    assert hasattr(import_module(CLIENT), "AttemptsClient")


# Of a process


async def asked_by_a_child(client: FakeClient, timeout: float) -> Submitted:
    """What both sides make of it, with frames between them."""
    attempt, sent = attempt_of(offer(0)), []
    attempt.context = Context(attempt.offer)
    attempt.submits = Submits(client.opening)
    child = child_submits.Submitting(sent.append, count())
    future = child.submit(Children(attempt.offer).command("mail", None, {}), timeout, blocks=True)
    (asked,) = (from_child.decode(frame(one)[HEAD.size :]) for one in sent)
    assert isinstance(asked, child_wire.Submits)
    answer = to_child.decode(frame(await child_submits.answer_to(asked, attempt))[HEAD.size :])
    assert isinstance(answer, child_wire.Answered)
    child.answered(answer)
    return future.result(timeout=0)


@pytest.mark.parametrize("timeout", [1, 0.5, math.inf])
async def test_a_process_may_wait_for_as_long_as_a_thread(timeout: float) -> None:
    client = FakeClient()
    made = await asked_by_a_child(client, timeout)
    assert made.execution_id == f"made-of-{client.sent[0].command_id}"
    assert client.timeouts == [timeout]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (Refused("unknown_job", "there is \ud800 none"), Refused),
        (Unavailable("no Kafka"), Unavailable),
        (Misconfigured("no handler"), Misconfigured),
        (PermissionError("permission \ud800 denied"), RuntimeError),
    ],
)
async def test_a_process_is_answered_whatever_the_submit_came_to(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised) as found:
        await asked_by_a_child(FakeClient(refused={"mail": error}), 1)
    assert str(error).replace("\ud800", "?") in str(found.value)


async def test_code_that_nothing_takes_submits_of_is_told_so(world: World) -> None:
    @world.jobs.job("one", retries=Retry(attempts=1))
    async def one(ctx: Context) -> str:
        with pytest.raises(Misconfigured):
            await ctx.submit("mail")
        return "told"

    world.begin().take(record_of(offer(0, "one")))
    await ended(world)
    assert world.sender.ends[0].outcome == "completed"
