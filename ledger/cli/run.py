"""`jobledger run`: run a job of a schedule now."""

from typing import Annotated

import typer
from msgspec import Raw

from ledger.cli.inputs import json_of, seconds_of
from ledger.cli.output import Form, OutputOption, show_one
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.submit import DECISION
from ledger.cli.waiting import wait_for_end


def command(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(help="The job.", show_default=False)],
    data: Annotated[str | None, typer.Option(metavar="JSON|@FILE|-", help="Instead of the job's own data.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress and print its result. Exit 6 if it does not complete.")] = False,
    wait_timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="Wait no longer; exit 124. It goes on.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Run a job now, whatever its schedule says. Prints the id of its execution; with --wait its result."""
    body = None if data is None else json_of(data)
    wait_for(_run(session_of(context), job_id, body, reason, wait, seconds_of(wait_timeout, "--wait-timeout"), output))


async def _run(session: Session, job_id: str, data: Raw | None, reason: str | None, wait: bool, seconds: float | None, form: Form) -> None:
    async with session.ledger() as ledger:
        given = {} if data is None else {"data": data}
        handle = await ledger.run_now(job_id, **given, reason=reason, follow=wait, timeout=DECISION)
        if wait:
            await wait_for_end(handle, form, seconds)
        elif form is Form.table:
            typer.echo(handle.execution_id)
        else:
            show_one({"execution_id": handle.execution_id, "command_id": handle.command_id}, form)
