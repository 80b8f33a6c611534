"""`jobledger bench`: the project's own measurements, on the servers of the settings, with a prefix and a schema of their own."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from msgspec import to_builtins
from rich.console import Console

from ledger.cli.measuring.result import Result
from ledger.cli.output import Form, OutputOption, show_one, show_rows
from ledger.config import Settings

T = TypeVar("T")
app = typer.Typer(help="Measures on the running stack; prints medians and the machine.", no_args_is_help=True)
talk = Console(stderr=True, highlight=False)

Runs = Annotated[int, typer.Option("--runs", min=1, max=100, help="How often; the median counts.")]
Yes = Annotated[bool, typer.Option("--yes", help="Measure on a broker of another machine too.")]


def _settings(yes: bool) -> Settings:
    from ledger.cli.measuring.bed import refuse_remote
    from ledger.cli.session import quiet_settings

    settings = quiet_settings()
    if not yes:
        refuse_remote(settings)
    return settings


def _say(line: str) -> None:
    talk.print(line)


def _measure(work: Coroutine[Any, Any, Result | list[Result]], output: Form) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(_ended_by_signals(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    results = measured if isinstance(measured, list) else [measured]
    if output is Form.table:
        _show(results)
    elif len(results) == 1:
        show_one(to_builtins(results[0]), output)
    else:
        show_rows(to_builtins(results), (), output)


def _show(results: list[Result]) -> None:
    for one in results:
        more = "".join(f", {name} {value:g}" for name, value in one.more.items())
        typer.echo(f"{one.metric}: median {one.median:g} {one.unit}{more}; runs {', '.join(f'{run:g}' for run in one.runs)}")
        typer.echo(f"  {one.counted}")
        typer.echo(f"  Python {one.machine.python}, {one.machine.system}, {one.machine.cpus} cpus")


async def _ended_by_signals(work: Coroutine[Any, Any, T]) -> T:
    """As by Ctrl-C: what it started and made is removed, and a signal that comes meanwhile does not keep it from that: a shell whose
    terminal is gone tells it once more. Under `nohup` the end of its terminal is ignored."""
    from processors.supervisor import ends_by_signals

    if (mine := asyncio.current_task()) is not None:
        ends_by_signals(lambda: mine.cancelling() or mine.cancel(), (signal.SIGTERM, signal.SIGHUP))
    return await work


@app.command()
def e2e(
    runs: Runs = 3,
    count: Annotated[int, typer.Option("--count", min=100, help="Executions a run.")] = 50_000,
    single: Annotated[bool, typer.Option("--single", help="One command a record, all in flight together.")] = False,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """From the first submit until every row in Postgres is terminal."""
    from ledger.cli.measuring import e2e as measuring

    _measure(measuring.measure(_settings(yes), _say, runs=runs, count=count, single=single), output)


@app.command()
def latency(
    runs: Runs = 3, count: Annotated[int, typer.Option("--count", min=20)] = 500, output: OutputOption = Form.table, yes: Yes = False
) -> None:
    """From a submit to the first line of the handler, on an idle system."""
    from ledger.cli.measuring import latency as measuring

    _measure(measuring.measure(_settings(yes), _say, runs=runs, count=count), output)


@app.command()
def exclusive(
    runs: Runs = 3,
    count: Annotated[int, typer.Option("--count", min=100, help="Executions a run, of 1 ms each.")] = 20_000,
    keys: Annotated[int, typer.Option("--keys", min=1, max=10_000, help="Exclusivity keys.")] = 50,
    slots: Annotated[int, typer.Option("--slots", min=1, max=1000)] = 20,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """Exclusive executions a second, and that no two of one key overlap: by the log, by file locks, in a journal. Exit 1 if any do."""
    from ledger.cli.measuring import exclusive as measuring

    _measure(measuring.measure(_settings(yes), _say, runs=runs, count=count, keys=keys, slots=slots), output)


@app.command()
def rebuild(
    runs: Runs = 3,
    events: Annotated[int, typer.Option("--events", min=1000)] = 600_000,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """The tables from the log's first commit, and compared with it."""
    from ledger.cli.measuring import rebuild as measuring

    _measure(measuring.measure(_settings(yes), _say, runs=runs, events=events), output)


@app.command()
def reads(
    executions: Annotated[int, typer.Option("--executions", min=1000)] = 1_000_000,
    count: Annotated[int, typer.Option("--count", min=20, help="Questions of each kind.")] = 200,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """How long lists with filters and single executions take, on a million of them."""
    from ledger.cli.measuring import reads as measuring

    _measure(measuring.measure(_settings(yes), _say, executions=executions, reads=count), output)


@app.command()
def recovery(
    runs: Runs = 3,
    events: Annotated[int, typer.Option("--events", min=1000)] = 1_000_000,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """How long a partition's actor needs to know its state."""
    from ledger.cli.measuring import recovery as measuring

    _measure(measuring.measure(_settings(yes), _say, runs=runs, events=events), output)


@app.command()
def schedules(
    runs: Runs = 1,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=100_000, help="Each fires every second.")] = 1000,
    seconds: Annotated[int, typer.Option("--seconds", min=5, max=3600)] = 60,
    jitter: Annotated[
        str | None, typer.Option("--jitter", metavar="DURATION", help="Spread them; else all fire at the same instant.")
    ] = None,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """How late ticks are, of a thousand jobs that fire every second; and what the next firing of one costs."""
    from ledger.cli.measuring import schedules as measuring

    _measure(measuring.measure(_settings(yes), _say, runs=runs, jobs=jobs, seconds=seconds, jitter=jitter), output)


@app.command()
def tenants(
    runs: Runs = 3,
    users: Annotated[int, typer.Option("--users", min=10, max=100_000, help="Schedules, registered in one go.")] = 10_000,
    tenants: Annotated[int, typer.Option("--tenants", min=1, max=10_000)] = 500,
    every: Annotated[float, typer.Option("--every", min=1, max=3600, metavar="SECONDS", help="Each fires so often, spread evenly.")] = 20,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """Schedules of many tenants registered in one go, and how soon the pause of one tenant holds its ticks while they fire."""
    from ledger.cli.measuring import tenants as measuring

    _measure(measuring.measure(_settings(yes), _say, runs=runs, users=users, tenants=tenants, every=every), output)


@app.command()
def idle(
    schedules: Annotated[int, typer.Option("--schedules", min=10, max=1_000_000, help="Each fires once a year.")] = 100_000,
    firing: Annotated[int, typer.Option("--firing", min=1, max=1000, help="Beside so many that fire every second.")] = 10,
    seconds: Annotated[int, typer.Option("--seconds", min=5, max=3600)] = 30,
    output: OutputOption = Form.table,
    yes: Yes = False,
) -> None:
    """What schedules that are hardly ever due cost control: memory, readiness after a kill, lateness of the others."""
    from ledger.cli.measuring import idle as measuring

    _measure(measuring.measure(_settings(yes), _say, schedules=schedules, firing=firing, seconds=seconds), output)
