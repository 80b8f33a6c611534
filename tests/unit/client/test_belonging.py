"""A client after its end, and in an event loop that is not its own: told in words and at once, instead of waiting for what never comes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ledger import Ledger
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core.refusal import Refused

USES: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "submit": lambda ledger: ledger.submit("a"),
    "submit_many": lambda ledger: ledger.submit_many([("a", None)]),
    "read": lambda ledger: ledger.executions.get("x"),
    "result": lambda ledger: ledger.execution("x").result(),
}


@pytest.mark.parametrize("use", USES)
async def test_a_closed_client_says_so_and_may_be_closed_again(use: str) -> None:
    ledger = Ledger(Settings())
    await ledger.close()
    with pytest.raises(Refused, match="closed"):
        async with asyncio.timeout(5):
            await USES[use](ledger)
    await ledger.close()


@pytest.mark.parametrize("use", [*USES, "close"])
def test_a_client_of_another_event_loop_says_so(use: str) -> None:
    tables = Tables(Settings())
    ledger = Ledger(Settings(), tables=tables)

    async def first() -> None:
        tables.belonging.check()

    async def second() -> None:
        async with asyncio.timeout(5):
            await (ledger.close() if use == "close" else USES[use](ledger))

    asyncio.run(first())
    with pytest.raises(Refused, match="elsewhere"):
        asyncio.run(second())
