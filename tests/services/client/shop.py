"""The handlers of these tests."""

import asyncio

from pydantic import BaseModel

from ledger import Context, Jobs, Retry, UnrecoverableError

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


@jobs.job("tick")
async def tick() -> str:
    return "tock"
