"""`jobledger stack`: the three servers in the background, without containers."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ledger.stack import Running, Stack, StackFailed, state, stop

NOT_RUNNING = 3
app = typer.Typer(name="stack", help="Kafka, Valkey and Postgres from packages, on this machine.", no_args_is_help=True)
Directory = Annotated[Path, typer.Option("--dir", help="Where their data and logs are kept.")]
DEFAULT = Path(".jobledger")


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


@app.command()
def start(
    directory: Directory = DEFAULT,
    cache: Annotated[Path | None, typer.Option(help="Where Kafka's jars stay: else JOBLEDGER_CACHE or the user's cache.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Kafka starts sooner and works slower at its peak: for tests.")] = False,
) -> None:
    """Starts the servers and returns when they answer; they run until `stack stop`."""
    with _said():
        running = Stack.start_background(directory.absolute(), cache=cache, fast=fast, on_progress=_talk)
    _talk(f'the stack runs in {running.directory} (process {running.ready.keeper}). Next: eval "$(jobledger stack env)"')


@app.command("stop")
def stop_it(directory: Directory = DEFAULT) -> None:
    """Ends the servers; their data stays."""
    with _said():
        _talk("stopped" if stop(directory.absolute()) else f"no stack runs in {directory.absolute()}")


@app.command()
def status(
    directory: Directory = DEFAULT, output: Annotated[Format, typer.Option("-o", "--output", help="table or json")] = Format.TABLE
) -> None:
    """What runs, where and since when it answers; exit 3 when nothing does."""
    found = state(directory.absolute())
    running = Running.find(directory.absolute())
    if output is Format.JSON:
        typer.echo(json.dumps(_described(directory.absolute(), found, running), ensure_ascii=False))
    elif running:
        typer.echo(f"{'server':<10}{'version':<10}{'pid':<9}{'ready after':<13}address")
        for up in running.servers:
            typer.echo(f"{up.name:<10}{up.version:<10}{up.pid:<9}{f'{up.seconds:.1f} s':<13}{up.url}")
    if running is None:
        _talk(f"the stack in {directory.absolute()} is {found}")
        raise typer.Exit(NOT_RUNNING)


@app.command()
def env(directory: Directory = DEFAULT) -> None:
    """Prints `export` lines for the settings, password included."""
    running = Running.find(directory.absolute())
    if running is None:
        _talk(f"no stack is ready in {directory.absolute()}: `jobledger stack start` starts one")
        raise typer.Exit(NOT_RUNNING)
    settings = {
        "JOBLEDGER_KAFKA__BOOTSTRAP": running.kafka,
        "JOBLEDGER_REDIS__URL": running.redis,
        "JOBLEDGER_DATABASE__URL": running.database,
    }
    for name, value in settings.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _described(directory: Path, found: str, running: Running | None) -> dict[str, object]:
    servers = [
        {"name": up.name, "version": up.version, "pid": up.pid, "address": up.url, "seconds_to_ready": up.seconds}
        for up in (running.servers if running else ())
    ]
    return {"directory": str(directory), "state": found, "keeper": running.ready.keeper if running else None, "servers": servers}


def _talk(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _said() -> Iterator[None]:
    """A failure is a sentence and an exit code, not a trace."""
    try:
        yield
    except StackFailed as failed:
        _talk(str(failed))
        raise typer.Exit(failed.exit_code) from failed
