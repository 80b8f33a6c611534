"""`jobledger keys list|pause|resume`: exclusivity keys, in full: `key:send-invoice:7`."""

import typer

from ledger.cli.output import Form, OutputOption, show_rows
from ledger.cli.pausing import PAUSE_COLUMNS, add_pauses, pauses_of
from ledger.cli.session import session_of, wait_for

app = typer.Typer(help="What excludes what, one at a time.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, output: OutputOption = Form.table) -> None:
    """The keys that are paused. `executions show` has the key of an execution as exclusive_key."""
    show_rows(wait_for(pauses_of(session_of(context), "key")), ("name", *PAUSE_COLUMNS), output)


add_pauses(app, "key", "an exclusivity key")
