"""The seam's shortcut past Faust's four tasks a record: the same outcome, whether the hand-over waits or not."""

import asyncio

from processors.seam import _Resumed


async def test_a_coroutine_that_was_begun_goes_on_where_it_waits() -> None:
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    steps: list[str] = []

    async def work() -> str:
        steps.append("begun")
        steps.append(await gate)
        await asyncio.sleep(0)
        return "done"

    coroutine = work()
    waits_for = coroutine.send(None)
    task = asyncio.ensure_future(_Resumed(coroutine, waits_for))
    await asyncio.sleep(0)
    assert steps == ["begun"] and not task.done()
    gate.set_result("resumed")
    assert await task == "done" and steps == ["begun", "resumed"]
