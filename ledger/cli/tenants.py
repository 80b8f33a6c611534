"""`jobledger tenants list|pause|resume`. Any text may be a tenant; `executions list --tenant T` shows what one has."""

import typer

from ledger.cli.pausing import add_list, add_pauses

app = typer.Typer(help="For whom executions run.", no_args_is_help=True)
add_list(app, "tenant", "tenants")
add_pauses(app, "tenant", "a tenant")
