"""`jobledger dev`: servers, topics, tables, worker and projections in one process group, for development."""

import asyncio
import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated, Final

import typer

from ledger.bootstrap import handlers_of, settings_from_environment
from ledger.cli.development import Development, prepare
from ledger.cli.output import Form, show_rows, talk
from ledger.cli.session import LogLevel, LogLevelOption
from ledger.client.declared import declared
from ledger.config import Settings
from ledger.config.loading import DEFAULT_FILE, find_file
from ledger.config.overlay import CONFIG
from ledger.core.refusal import Conflict
from ledger.handlers import Jobs
from ledger.stack import Running, Stack, StackFailed, state
from processors import logs

STATE: Final = Path(".jobledger")
SERVERS: Final = ("name", "version", "seconds_to_ready", "address")


def command(
    directory: Annotated[Path, typer.Argument(help="The project: where jobledger.yaml is.")] = Path(),
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin with empty servers: empties .jobledger first.")] = False,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Start everything; Ctrl-C stops it. What it stores stays in .jobledger. Saving a handler or the settings restarts what uses them."""
    if not directory.is_dir():
        raise typer.BadParameter(f"{directory} is no folder", param_hint="DIRECTORY")
    if named := os.environ.get(CONFIG):
        os.environ[CONFIG] = str(Path(named).absolute())  # it was named from where we were called
    os.chdir(directory)
    os.environ[CONFIG] = str(find_file(None, os.environ).absolute())  # for every process that is started here
    settings = settings_from_environment()
    jobs = handlers_of(settings)
    declared(settings, jobs)  # what does not fit is told before anything is started
    logs.configure("console", log_level)
    if fresh:
        _wipe(STATE.absolute())
    running = _servers(settings)
    try:
        settings = settings_from_environment()
        asyncio.run(prepare(settings))
        _greet(settings, jobs, running)
        code = asyncio.run(Development(settings, Path.cwd(), lambda: running.ended, log_level).run())
    finally:
        if isinstance(running, Stack):
            running.stop()
            talk("stopped")
    raise typer.Exit(code)


def _wipe(directory: Path) -> None:
    """Empties it, and leaves it: it may be a link to where there is room."""
    if state(directory) != "stopped":
        raise Conflict(f"the servers in {directory} run: end them (`jobledger stack stop`, or the other `jobledger dev`) before --fresh")
    try:
        for entry in list(directory.iterdir()) if directory.exists() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise StackFailed(f"{error.filename} cannot be removed: {error.strerror}. Empty {directory} before --fresh.") from error


def _servers(settings: Settings) -> Stack | Running:
    """Those that run here in the background, or new ones; an address in the settings goes before both. The environment names them."""
    directory = STATE.absolute()
    kafka = settings.kafka.bootstrap if "bootstrap" in settings.kafka.model_fields_set else None
    redis = settings.redis.url.get_secret_value() if "url" in settings.redis.model_fields_set else None
    database = settings.database.url.get_secret_value() if "url" in settings.database.model_fields_set else None
    here = None if kafka and redis and database else Running.find(directory)
    running = here or Stack.start(directory, kafka=kafka, redis=redis, database=database, on_progress=talk)
    os.environ["JOBLEDGER_KAFKA__BOOTSTRAP"] = kafka or running.kafka
    os.environ["JOBLEDGER_REDIS__URL"] = redis or running.redis
    os.environ["JOBLEDGER_DATABASE__URL"] = database or running.database
    return running


def _greet(settings: Settings, jobs: Jobs, running: Stack | Running) -> None:
    rows = [{"name": up.name, "version": up.version, "seconds_to_ready": round(up.seconds, 1), "address": up.url} for up in running.servers]
    if rows:
        show_rows(rows, SERVERS, Form.table)
    file = os.environ["JOBLEDGER_CONFIG"]
    program = "jobledger" if Path(file).name == DEFAULT_FILE.name else f"jobledger --config {shlex.quote(file)}"
    handler = next((one for one in jobs if one.name in {job.name for job in settings.jobs}), None)
    job = "JOB" if handler is None else f"{handler.name} --data 'JSON'" if handler.signature.takes_data else handler.name
    talk(f"\nIn another terminal, in {Path.cwd()}:")
    if rows:
        talk('  eval "$(jobledger stack env)"')
    talk(f"  {program} submit {job} --wait")
    talk(f"  {program} executions list\n")
