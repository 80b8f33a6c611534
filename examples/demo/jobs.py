"""The demo's handlers."""

import asyncio

from pydantic import BaseModel

from ledger import Context, Jobs

jobs = Jobs()


class Import(BaseModel):
    customers: int
    seconds: float


@jobs.job("import-customers")
async def import_customers(data: Import, ctx: Context) -> dict[str, int]:
    """A longer one that tells how far it is."""
    for percent in range(0, 100, 20):
        await ctx.progress(percent, f"{data.customers * percent // 100} of {data.customers}")
        await asyncio.sleep(data.seconds / 5)
    return {"imported": data.customers, "attempt": ctx.attempt}


@jobs.job("heartbeat")
async def heartbeat() -> str:
    return "alive"


class Carts(BaseModel):
    older_than_days: int


@jobs.job("clean-carts")
def clean_carts(data: Carts) -> dict[str, int]:
    """A plain function: it runs in a thread."""
    return {"cleaned": 3, "older_than_days": data.older_than_days}
