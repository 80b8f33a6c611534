"""`jobledger`: finds the command, loads what it needs and nothing else, and turns errors into words and exit codes."""

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from typer.main import get_command

from ledger.lossy import lossy
from ledger.version import __version__


class Entry(NamedTuple):
    """A verb, which its module has as `command`, or a noun with commands of its own, which its module has as `app`."""

    name: str
    module: str
    help: str
    is_verb: bool = False


ENTRIES: Final = (
    Entry("dev", "ledger.cli.dev", "Everything at once for development: servers, worker, projections. Ctrl-C stops all.", is_verb=True),
    Entry("submit", "ledger.cli.submit", "Run a job once.", is_verb=True),
    Entry("run", "ledger.cli.run", "Run a job of a schedule now.", is_verb=True),
    Entry("apply", "ledger.cli.apply", "Make the registry say what the configuration declares.", is_verb=True),
    Entry("worker", "ledger.cli.worker", "Run control and runners, and restart what crashes.", is_verb=True),
    Entry("jobs", "ledger.cli.jobs", "Jobs, their versions and schedules."),
    Entry("executions", "ledger.cli.executions", "What ran, runs and will run."),
    Entry("why", "ledger.cli.why", "Each expected tick explained; why an execution waits or ended so.", is_verb=True),
    Entry("diff", "ledger.cli.diff", "What changed between two moments: jobs, versions, pauses, schedules.", is_verb=True),
    Entry("whatif", "ledger.cli.whatif", "Replay the recorded past of jobs under another policy.", is_verb=True),
    Entry("queues", "ledger.cli.queues", "Where executions wait: list, pause, resume."),
    Entry("tenants", "ledger.cli.tenants", "For whom they run: list, pause, resume."),
    Entry("keys", "ledger.cli.keys", "Exclusivity keys: list, pause, resume."),
    Entry("dead-letters", "ledger.cli.dead_letters", "Bytes that could not be read: list, show, redrive, discard."),
    Entry("bulk", "ledger.cli.bulk", "What was done to many at once: list, show."),
    Entry("workers", "ledger.cli.workers", "Who runs them: list, show, drain."),
    Entry("commands", "ledger.cli.commands", "What became of a command."),
    Entry("config", "ledger.cli.config", "The settings as they are understood."),
    Entry("stack", "ledger.cli.stack", "Only the servers, in the background."),
    Entry("topics", "ledger.cli.topics", "The topics in Kafka."),
    Entry("db", "ledger.cli.db", "The tables in Postgres."),
    Entry("projections", "ledger.cli.projections", "The tables as a fold of the log: run, status, rebuild, verify."),
    Entry("ledger", "ledger.cli.log", "The log itself: verify, tail, show, export, import."),
    Entry("audit", "ledger.cli.audit", "Does everything add up? Chain, commands, ticks, executions, attempts, tables.", is_verb=True),
    Entry("bench", "ledger.cli.bench", "Measure the running stack."),
)
_TAKES_A_VALUE: Final = frozenset({"--config", "-c"})


def build(name: str | None = None) -> typer.Typer:
    """The program with the command `name` in it; the others are there by name and help alone."""
    app = typer.Typer(name="jobledger", no_args_is_help=True, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(root)
    for entry in ENTRIES:
        if entry.name != name:
            app.command(entry.name, help=entry.help)(_only_listed)
            continue
        module = importlib.import_module(entry.module)
        if entry.is_verb:
            app.command(entry.name, short_help=entry.help)(module.command)
        else:
            module.app.rich_markup_mode = None
            app.add_typer(module.app, name=entry.name, help=entry.help, no_args_is_help=True)
    return app


def _only_listed() -> None:
    raise AssertionError("a command that was not loaded was called")


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def root(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The settings file; else JOBLEDGER_CONFIG, else jobledger.yaml here.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Jobs on Kafka, with an event log as the database of record."""
    if config is not None:
        os.environ["JOBLEDGER_CONFIG"] = str(config)  # where every part, and every process it starts, looks


def command_in(arguments: Sequence[str]) -> str | None:
    """The first word that is no option of the program itself."""
    words = iter(arguments)
    for word in words:
        if word in _TAKES_A_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def run(arguments: Sequence[str], loaded: Callable[[], object] = lambda: None) -> int:
    """The exit code. Nothing is raised, whatever happens. `loaded`: called before the command itself is."""
    try:
        code = _run(arguments, loaded)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return 1
    except (Exception, KeyboardInterrupt) as error:
        return _explain(error)
    finally:
        _let_go_of_stdout()


def _run(arguments: Sequence[str], loaded: Callable[[], object]) -> int:
    _check_edges(arguments)
    try:
        program = get_command(build(command_in(arguments)))
        loaded()
        program.main(args=list(arguments), prog_name="jobledger")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _let_go_of_stdout() -> None:
    """What it does not take is dropped: else Python complains at its own end."""
    if sys.__stdout__ is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _hold_stderr() -> None:
    """Words to the person end no command. Where stderr is closed the next file or connection would be taken for it, here and by what is
    started."""
    if sys.__stderr__ is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.set_inheritable(2, True)
    sys.stderr = lossy(2)


def _check_edges(arguments: Sequence[str]) -> None:
    """Raises `Unfit` for what no command can work with. Where stdin is closed nothing comes."""
    from ledger.core.refusal import Unfit

    for argument in arguments:
        if not _is_text(argument):
            raise Unfit("invalid_text", f"the argument {os.fsencode(argument)!r} is no UTF-8")
    if sys.__stdout__ is None:  # and the next file or connection would be taken for it
        raise Unfit("no_stdout", "stdout is closed, and the answer would go there: say >/dev/null if nobody wants it")
    if sys.__stdin__ is None:
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115  # until the end


def _is_text(argument: str) -> bool:
    """What Python could not decode is half a surrogate pair."""
    return not any("\ud800" <= char <= "\udfff" for char in argument)


def _explain(error: BaseException) -> int:
    from ledger.cli.errors import exit_code_of, message_of, shows_traceback
    from ledger.cli.output import talk

    if shows_traceback(error):
        traceback.print_exception(error)
    talk(message_of(error))
    return exit_code_of(error)


def main() -> None:
    """The console script."""
    _hold_stderr()
    gc.disable()  # what is imported stays: the collector would go through it again and again, a fifth of a command's CPU
    sys.exit(run(sys.argv[1:], _collect))


def _collect() -> None:
    gc.freeze()
    gc.enable()
