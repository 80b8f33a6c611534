"""`jobledger tenants list|pause|resume`."""

import typer

from ledger.cli.output import Form, OutputOption, show_rows
from ledger.cli.pausing import PAUSE_COLUMNS, add_pauses, pauses_of
from ledger.cli.session import session_of, wait_for

app = typer.Typer(help="For whom executions run.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, output: OutputOption = Form.table) -> None:
    """The tenants that are paused; any text may be one. `jobs list --tenant T` and `executions list --tenant T` show what it has."""
    show_rows(wait_for(pauses_of(session_of(context), "tenant")), ("name", *PAUSE_COLUMNS), output)


add_pauses(app, "tenant", "a tenant")
