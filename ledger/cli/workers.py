"""`jobledger workers list|show|drain`."""

from typing import Annotated

import typer

from ledger.cli.errors import OUT_OF_TIME
from ledger.cli.inputs import seconds_of
from ledger.cli.output import Form, OutputOption, row_of, say, show_one, show_rows, talk
from ledger.cli.session import Session, session_of, wait_for

app = typer.Typer(help="Who runs them.", no_args_is_help=True)

LIST = ("worker", "state", "queue", "running", "slots", "since", "version", "host", "pid")
RUNNING = ("execution_id", "job_id", "job_version", "state", "attempt", "tenant", "progress", "started_at")
Name = Annotated[str, typer.Argument(metavar="WORKER", show_default=False)]


@app.command("list")
def list_(
    context: typer.Context,
    queue: Annotated[str | None, typer.Option(help="Those that serve this queue.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Who works now, and what of the dead is not yet given to others."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            rows = [row_of(one) for one in await ledger.workers.list(queue=queue)]
        show_rows(rows, LIST, output)

    wait_for(work(session_of(context)))


@app.command()
def show(context: typer.Context, worker: Name, output: OutputOption = Form.table) -> None:
    """A worker, its handlers and what it performs."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            one = await ledger.workers.get(worker)
            executions = [row_of(row) for row in await ledger.workers.running(worker)]
        if output is not Form.table:
            show_one({**row_of(one), "executions": executions}, output)
            return
        show_one(row_of(one), output)
        if executions:
            say()
            show_rows(executions, RUNNING, output)

    wait_for(work(session_of(context)))


@app.command()
def drain(
    context: typer.Context,
    worker: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has gone.")] = False,
    wait_timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="Wait, and no longer than that; exit 124.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Take no more, let what runs end in its own time, hand the rest back, and go. It is not started again."""
    seconds = seconds_of(wait_timeout, "--wait-timeout")

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            one = await ledger.workers.drain(worker)
            if one.state == "working":
                talk(f"{worker} has not heard of it yet; it will once it renews its lease")
            if wait or seconds is not None:
                one = await ledger.workers.until_gone(one, seconds)
        show_one(row_of(one), output, LIST)
        if one.state != "gone" and (wait or seconds is not None):
            talk(f"{worker} still runs {one.running} and goes when they have ended: `jobledger workers show {worker}`")
            raise typer.Exit(OUT_OF_TIME)

    wait_for(work(session_of(context)))
