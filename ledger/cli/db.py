"""`jobledger db upgrade|status`: the schema of the tables."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from ledger.cli.output import Form, OutputOption, say, show_one, talk
from ledger.config.loading import load_settings
from projections import schema

DIFFERENCES = 7

app = typer.Typer(help="The schema of the tables.", no_args_is_help=True)


@app.command()
def upgrade(plan: Annotated[bool, typer.Option("--plan", help="Print what would be done and do nothing.")] = False) -> None:
    """Bring the schema to this version. Several processes may do so at the same time; one does it."""
    settings = load_settings(None, os.environ)
    before = schema.status(settings) if plan else schema.upgrade(settings)
    name = settings.database.table_schema
    for step in before.pending:
        say(f"{'would run' if plan else 'ran'} {step}")
    if not before.pending:
        say(f"schema {name} is at {before.current}: nothing to do")


@app.command()
def status(output: OutputOption = Form.table) -> None:
    """What the schema is at, and what an upgrade would do: exit 7 if that is anything."""
    settings = load_settings(None, os.environ)
    found = schema.status(settings)
    name = settings.database.table_schema
    if output is not Form.table:
        show_one({"schema": name, **asdict(found)}, output)
    else:
        say(f"schema {name} is at {found.current or 'nothing'}, this version wants {found.wanted}")
        for step in found.pending:
            say(f"pending {step}")
    if found.pending:
        talk("run `jobledger db upgrade`")
        raise typer.Exit(DIFFERENCES)
