"""`jobledger worker`: control and runners, restarted when they crash."""

import sys
from typing import Annotated

import typer

from ledger.bootstrap import Only, Worker, run_worker
from ledger.cli.session import LogLevel, LogLevelOption, session_of, wait_for
from ledger.config import Settings
from processors import logs


def command(
    context: typer.Context,
    app: Annotated[str | None, typer.Option(help="Where the handlers are, `module:attribute`; else the setting `app`.")] = None,
    queues: Annotated[str | None, typer.Option(metavar="A,B", help="Only these; else all of the settings.")] = None,
    only: Annotated[Only | None, typer.Option(help="One kind of processes alone.")] = None,
    no_apply: Annotated[bool, typer.Option("--no-apply", help="Do not apply the configuration.")] = False,
    probe_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="P", help="Answer /livez, /readyz?verbose and /metrics here, on loopback; 0: any."),
    ] = None,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Decide and run. The configuration is applied first; SIGTERM ends it within a bounded time."""
    logs.configure("console" if sys.stderr.isatty() else "json", log_level)
    settings = session_of(context).load()
    code = wait_for(run_worker(settings, Worker(None, app, _named(queues or "", settings), only, not no_apply, probe_port, log_level)))
    raise typer.Exit(code)


def _named(queues: str, settings: Settings) -> tuple[str, ...]:
    """Each once."""
    names = tuple(dict.fromkeys(filter(None, map(str.strip, queues.split(",")))))
    if unknown := [name for name in names if name not in settings.queues]:
        there_are = ", ".join(sorted(settings.queues))
        raise typer.BadParameter(f"there is no queue {unknown[0]!r} in the settings; there are {there_are}", param_hint="--queues")
    return names
