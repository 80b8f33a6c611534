"""`jobledger commands show`: what became of a command."""

from typing import Annotated

import typer

from ledger.cli.output import Form, OutputOption, row_of, say, show_one, show_rows
from ledger.cli.past_events import COLUMNS, rows_of
from ledger.cli.session import Session, session_of, wait_for
from ledger.core.refusal import Refused

app = typer.Typer(help="What became of a command.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group of one command still takes its name."""


@app.command()
def show(
    context: typer.Context,
    command_id: Annotated[str, typer.Argument(show_default=False)],
    events: Annotated[bool, typer.Option("--events", help="What it led to, read from the log itself.")] = False,
    output: OutputOption = Form.table,
) -> None:
    """Whether it was accepted, and what came of it, or why it was refused."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            found = await ledger.commands.get(command_id)
            if found is None:
                raise Refused("unknown_command", f"no command {command_id} was decided, or the tables do not have it yet")
            history = rows_of(await ledger.commands.history(found)) if events else []
        row = row_of(found)
        if output is not Form.table:
            show_one({**row, **({"events": history} if events else {})}, output)
            return
        show_one({**row, "address": None}, output)
        if events:
            say()
            show_rows(history, COLUMNS, output)

    wait_for(work(session_of(context)))
