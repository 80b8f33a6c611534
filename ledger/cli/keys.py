"""`jobledger keys list|pause|resume`: exclusivity keys, in full: `key:send-invoice:7`."""

import typer

from ledger.cli.pausing import add_list, add_pauses

app = typer.Typer(help="What excludes what, one at a time.", no_args_is_help=True)
add_list(app, "key", "exclusivity keys")
add_pauses(app, "key", "an exclusivity key")
