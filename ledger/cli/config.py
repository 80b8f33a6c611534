"""`jobledger config show|check`: the settings as they are understood."""

import json
import re
from typing import Annotated

import typer

from ledger.bootstrap import handlers_of
from ledger.cli.output import Form, OutputOption, show_one, talk
from ledger.cli.session import session_of
from ledger.client.declared import declared
from ledger.config import Settings

app = typer.Typer(help="The settings as they are understood.", no_args_is_help=True)

_USER_INFO = re.compile(r"://[^/@]*@")


@app.command()
def show(context: typer.Context, output: OutputOption = Form.yaml) -> None:
    """Every setting, defaults too; secrets are masked."""
    show_one(masked(session_of(context).load()), output)


@app.command()
def check(
    context: typer.Context,
    app_: Annotated[str | None, typer.Option("--app", help="Where the handlers are, `module:attribute`; else the setting `app`.")] = None,
) -> None:
    """Read everything, compare settings and handlers, and warn of what is probably not meant. Nothing is connected."""
    settings = session_of(context).load()
    for job in settings.system_jobs:
        for warning in job.schedule.warnings:
            talk(f"warning: system job {job.name}: {warning}")
    if app_ is None and settings.app is None:
        typer.echo(f"{_counted(settings)}; no `app` is named, so handlers were not compared")
        return
    jobs = handlers_of(settings, app_)
    declared(settings, jobs)
    typer.echo(f"{_counted(settings)}, {len(jobs)} handlers: they fit together")


def _counted(settings: Settings) -> str:
    return f"{len(settings.jobs)} jobs, {len(settings.system_jobs)} system jobs"


def masked(settings: Settings) -> dict[str, object]:
    """As it can be shown: of an address, all but who logs in."""
    document: dict[str, object] = json.loads(settings.model_dump_json(by_alias=True))
    redis, database = settings.redis.url.get_secret_value(), settings.database.url.get_secret_value()
    for name, url in (("redis", redis), ("database", database)):
        part = document[name]
        assert isinstance(part, dict)
        part["url"] = _USER_INFO.sub("://***@", url.partition("?")[0])
    return document
