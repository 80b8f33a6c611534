"""The handlers of the quickstart: plain functions, declared by name."""

import asyncio

from pydantic import BaseModel

from ledger import Context, Jobs, Retry, UnrecoverableError

jobs = Jobs()


class Person(BaseModel):
    name: str


@jobs.job("greet")
async def greet(person: Person) -> str:
    return f"Hello, {person.name}!"


class Import(BaseModel):
    customers: int
    seconds: float = 2.0


@jobs.job("import-customers", retries=Retry(attempts=5, first="1s"))
async def import_customers(data: Import, ctx: Context) -> dict[str, int]:
    """A longer one that tells how far it is. Kill its worker and another one runs it again."""
    if data.customers < 0:
        raise UnrecoverableError("a negative number of customers")
    for percent in range(0, 100, 5):
        await ctx.progress(percent, f"{data.customers * percent // 100} of {data.customers}")
        await asyncio.sleep(data.seconds / 20)
    return {"imported": data.customers}


@jobs.job("heartbeat")
async def heartbeat(ctx: Context) -> None:
    ctx.log.info("alive", tick=str(ctx.tick_at))


class Report(BaseModel):
    format: str


@jobs.job("report")
def report(data: Report) -> str:
    """A plain function runs in a thread."""
    return f"report.{data.format}"
