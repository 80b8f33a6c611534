"""`jobledger run`: run a job of a schedule now."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from ledger.cli.inputs import json_of, seconds_of
from ledger.cli.output import Form, OutputOption, say, show_one
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.waiting import decided, wait_for_end
from ledger.client.handle import ExecutionHandle
from ledger.client.ledger import Ledger
from ledger.core.bodies import NOTHING


def command(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(help="The job.", show_default=False)],
    data: Annotated[str | None, typer.Option(metavar="JSON|@FILE|-", help="Instead of the job's own data.")] = None,
    overlap: Annotated[
        str | None, typer.Option(metavar="POLICY", help="If it runs already: skip, buffer_all, cancel_other ...; else it runs beside it.")
    ] = None,
    ignore_pause: Annotated[bool, typer.Option("--ignore-pause", help="Run it although it is paused.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress and print its result. Exit 6 if it does not complete.")] = False,
    wait_timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="Wait, but no longer; exit 124. It goes on.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Run a job now, whatever its schedule says. Prints the id of its execution; with --wait its result."""
    body = NOTHING if data is None else json_of(data)
    seconds = seconds_of(wait_timeout, "--wait-timeout")
    waits = wait or seconds is not None

    async def ask(ledger: Ledger, timeout: float) -> ExecutionHandle:
        return await ledger.run_now(job_id, body, overlap=overlap, ignore_pause=ignore_pause, reason=reason, follow=waits, timeout=timeout)

    wait_for(_run(session_of(context), ask, waits, seconds, output))


async def _run(
    session: Session, ask: Callable[[Ledger, float], Awaitable[ExecutionHandle]], wait: bool, seconds: float | None, form: Form
) -> None:
    async with session.ledger() as ledger:
        since = asyncio.get_running_loop().time()
        handle = await decided(lambda timeout: ask(ledger, timeout), seconds)
        if wait:
            await wait_for_end(handle, form, seconds, since)
        elif form is Form.table:
            say(handle.execution_id)
        else:
            show_one({"execution_id": handle.execution_id, "command_id": handle.command_id}, form)
