"""`python -m processors.runner --queue default`: one runner process of one queue, until SIGTERM."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import NoReturn, cast

from ledger.config.loading import load_settings
from ledger.core.refusal import LedgerError, Misconfigured
from ledger.handlers import load_jobs
from processors import logs, prints, seam
from processors.crash import crash
from processors.pulse import EXIT_DRAINED, to_supervisor
from processors.runner.children import Command
from processors.runner.process import RunnerProcess
from processors.watchdog import Limits, Watchdog

STALL = 60.0  # seconds that a handler may keep the event loop busy; beyond, its process ends, and all that runs in it


def main(arguments: list[str]) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m processors.runner", description="Performs the executions of one queue.")
    parser.add_argument("--queue", default="default", help="the queue it serves; another queue is another process")
    parser.add_argument("--app", help="where the handlers are, `module:attribute`; else the setting `app`")
    parser.add_argument("--config", type=Path, help="the settings file; else as jobledger finds it")
    parser.add_argument("--log-format", choices=("json", "console"), default="console" if sys.stderr.isatty() else "json")
    parser.add_argument("--log-level", default="INFO", type=str.upper, choices=logs.LEVELS)
    options = parser.parse_args(arguments)
    asyncio.set_event_loop(asyncio.new_event_loop())  # Faust asks for one before it makes its own
    prints.let_go()
    logs.configure(cast(logs.Format, options.log_format), options.log_level)  # argparse checked the choice
    try:
        run(options.queue, options.app, options.config, options.log_format, options.log_level)
    except LedgerError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # talk to the person at the terminal
        sys.exit(1)
    sys.exit(0)


def run(queue: str, app: str | None, config: Path | None, log_format: str, log_level: str) -> None:
    settings = load_settings(config, os.environ)
    target = app or settings.app
    if target is None:
        raise Misconfigured("no handlers are named: set `app: module:attribute` in the settings or give --app")
    sys.path.insert(0, str(Path.cwd()))
    jobs = load_jobs(target).bounded(settings.concurrency, settings.rates)
    children = Command(target, log_format=log_format, log_level=log_level)
    process = RunnerProcess(settings, queue, jobs, crash, children)
    faust_app = seam.build_app(f"runner-{queue}", settings, {process.topic: process.take}, background=process.run, on_stopping=process.stop)
    watchdog = Watchdog(
        crashed=lambda: seam.has_crashed(faust_app),
        ready=lambda: process.has_begun,
        stuck_since=lambda: None,  # attempts have times of their own
        limits=Limits(stall=STALL),
        tell=to_supervisor(os.environ),
    )
    faust_app.task(watchdog.beat)
    faust_app.on_worker_init.connect(lambda *_, **__: watchdog.start(), weak=False)
    try:
        seam.run_worker(faust_app)
    finally:
        if process.is_drained:
            sys.exit(EXIT_DRAINED)
