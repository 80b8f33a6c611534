"""The handlers of these tests."""

import asyncio
import threading

from pydantic import BaseModel

from ledger import Context, Exclusive, Jobs, Retry, UnrecoverableError

jobs = Jobs()


class Order(BaseModel):
    number: int


@jobs.job("bill")
async def bill(order: Order) -> dict[str, int]:
    return {"billed": order.number}


@jobs.job("refuse", retries=Retry(attempts=1))
async def refuse(order: Order) -> None:
    raise UnrecoverableError(f"order {order.number} is no good")


@jobs.job("climb")
async def climb(ctx: Context) -> str:
    for percent in (10, 60):
        await ctx.progress(percent, f"at {percent}")
        await asyncio.sleep(0.6)
    return "top"


AGAIN = Retry(attempts=2, backoff="fixed", first="10ms")


@jobs.job("fan", retries=AGAIN)
async def fan(ctx: Context) -> list[bool]:
    made = [await ctx.submit("bill", {"number": number}) for number in (1, 2)]
    if ctx.attempt == 1:
        raise LookupError("after it has submitted")
    return [one.was_known for one in made]


@jobs.job("fan-in-a-thread", retries=AGAIN)
def fan_in_a_thread(ctx: Context) -> list[bool]:
    made = [ctx.submit_blocking("bill", {"number": number}) for number in (1, 2)]
    if ctx.attempt == 1:
        raise LookupError("after it has submitted")
    return [one.was_known for one in made]


@jobs.job("fan-in-a-process", retries=AGAIN, run_in="process")
def fan_in_a_process(ctx: Context) -> list[bool]:
    return fan_in_a_thread(ctx)


@jobs.job("guard", exclusive=Exclusive("key"))
async def guard() -> str:
    return "guarded"


@jobs.job("stand")
async def stand(ctx: Context) -> None:
    """Until somebody cancels it, for which it looks."""
    while True:
        await ctx.progress(50)
        await asyncio.sleep(0.02)
        ctx.raise_if_cancelled()


@jobs.job("single", concurrency=1)
async def single(ctx: Context) -> None:
    """One at a time over all workers, until it is cancelled."""
    await stand(ctx)


@jobs.job("sleep")
async def sleep() -> None:
    """It does not look whether it is cancelled."""
    await asyncio.Event().wait()


@jobs.job("stone")
def stone() -> None:
    """Nothing but the end of its process ends it."""
    threading.Event().wait()


@jobs.job("tick")
async def tick() -> str:
    return "tock"
