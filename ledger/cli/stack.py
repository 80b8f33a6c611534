"""`jobledger stack`: the three servers in the background, without containers."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.errors import NOT_FOUND
from ledger.cli.output import Form, OutputOption, Row, show_one, show_rows, talk
from ledger.stack import Running, Stack, state, stop

app = typer.Typer(help="Kafka, Valkey and Postgres from packages, on this machine.", no_args_is_help=True)
Directory = Annotated[Path, typer.Option("--dir", help="Where their data and logs are kept.")]
DEFAULT = Path(".jobledger")
COLUMNS = ("name", "version", "pid", "seconds_to_ready", "address")


@app.command()
def start(
    directory: Directory = DEFAULT,
    cache: Annotated[Path | None, typer.Option(help="Where Kafka's jars stay; else JOBLEDGER_CACHE, else the user's cache.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Kafka starts sooner and is slower at its peak: for tests.")] = False,
) -> None:
    """Start the servers and return when they answer; they run until `stack stop`."""
    running = Stack.start_background(directory.absolute(), cache=cache, fast=fast, on_progress=talk)
    where = "" if directory == DEFAULT else f" --dir {shlex.quote(str(directory))}"
    talk(f"the stack runs in {running.directory} (keeper: pid {running.ready.keeper})")
    talk(f'next: eval "$(jobledger stack env{where})"; it ends with: jobledger stack stop{where}')


@app.command("stop")
def stop_it(directory: Directory = DEFAULT) -> None:
    """End the servers; their data stays."""
    talk("stopped" if stop(directory.absolute()) else f"no stack runs in {directory.absolute()}")


@app.command()
def status(directory: Directory = DEFAULT, output: OutputOption = Form.table) -> None:
    """What runs and where; exit 3 when it is stopped, starting or ending."""
    here = directory.absolute()
    running = Running.find(here)
    servers = _rows(running)
    if output is not Form.table:
        keeper = running.ready.keeper if running else None
        name = os.fsencode(here).decode("utf-8", "backslashreplace")  # what is printed here is UTF-8
        show_one({"directory": name, "state": state(here), "keeper": keeper, "servers": servers}, output)
    elif running:
        show_rows(servers, COLUMNS, output)
    if running is None:
        talk(f"the stack in {here} is {state(here)}")
        raise typer.Exit(NOT_FOUND)


@app.command()
def env(directory: Directory = DEFAULT) -> None:
    """Print `export` lines for the settings, password included, of the servers that run there."""
    running = Running.find(directory.absolute())
    if running is None:
        talk(f"the stack in {directory.absolute()} is {state(directory.absolute())}: `jobledger stack start` starts it")
        raise typer.Exit(NOT_FOUND)
    for name, value in running.environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _rows(running: Running | None) -> list[Row]:
    """Without the password: `env` alone prints it."""
    return [
        {"name": up.name, "version": up.version, "pid": up.pid, "address": up.url, "seconds_to_ready": up.seconds}
        for up in (running.servers if running else ())
    ]
