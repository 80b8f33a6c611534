"""`jobledger config show|check|schema`: the settings as they are understood."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from ledger.bootstrap import handlers_of
from ledger.cli.output import Form, say, show_one, show_rows, show_value, talk
from ledger.cli.session import session_of
from ledger.client.declared import declared
from ledger.client.previewing import senseless
from ledger.config import Settings
from ledger.config.loading import load
from ledger.config.schema import settings_schema
from ledger.config.showing import document_of, values_with_origin

app = typer.Typer(help="The settings as they are understood.", no_args_is_help=True)

COLUMNS = ("key", "value", "origin")


@app.command()
def show(
    context: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Each value with the file and line, or the variable, it came from.")] = False,
    output: Annotated[Form | None, typer.Option("--output", "-o", help="How to print it.")] = None,
) -> None:
    """Every setting, defaults too; secrets are masked."""
    loaded = load(None, os.environ)
    for warning in loaded.warnings:
        talk(f"warning: {warning}")
    if not origin:
        show_one(document_of(loaded), output or Form.yaml)
        return
    show_rows([asdict(one) for one in values_with_origin(loaded)], COLUMNS, output or Form.table)


@app.command()
def check(
    context: typer.Context,
    app_: Annotated[str | None, typer.Option("--app", help="Where the handlers are, `module:attribute`; else the setting `app`.")] = None,
) -> None:
    """Read everything, compare settings and handlers, and warn of what is probably not meant. Nothing is connected."""
    settings = session_of(context).load()
    tell_warnings(settings)
    if app_ is None and settings.app is None:
        say(f"{_counted(settings)}; no `app` is named, so handlers were not compared")
        return
    jobs = handlers_of(settings, app_)
    declared(settings, jobs)
    say(f"{_counted(settings)}, {len(jobs)} handlers: they fit together")


@app.command()
def schema() -> None:
    """The JSON Schema of the settings file, for editors."""
    show_value(settings_schema(), Form.json)


def tell_warnings(settings: Settings) -> None:
    """Of schedules that do not do what they probably mean."""
    for job in settings.system_jobs:
        for warning in (*job.schedule.warnings, *senseless(job.spec, job.exclusive or "job")):
            talk(f"warning: system job {job.name}: {warning}")


def _counted(settings: Settings) -> str:
    return f"{len(settings.jobs)} jobs, {len(settings.system_jobs)} system jobs"
