"""`jobledger projections run|status|verify`: the tables as a fold of the log. What builds and swaps them is in `projections_build.py`."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Annotated, Final

import typer

from ledger.cli.errors import DIFFERENCES
from ledger.cli.output import Form, OutputOption, say, show_one, show_rows, talk
from ledger.cli.projections_build import Name, add_commands
from ledger.cli.projections_talk import Meter, folding, told
from ledger.cli.session import LogLevel, LogLevelOption, quiet_settings
from ledger.config import Settings
from ledger.config.loading import load_settings
from processors import logs
from projections import consumer
from projections import status as standings
from projections import verify as verifying
from projections.known import known, named
from projections.projection import NEXT, OLD, Projection

BESIDE: Final = {
    NEXT: "`jobledger projections rebuild {name}` goes on with them, `swap` takes them in, `drop` removes them",
    OLD: "`jobledger projections swap {name} --back` takes them back, `drop` removes them",
}

app = typer.Typer(help="The tables as a fold of the log: they can be dropped and rebuilt at any time.", no_args_is_help=True)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Projections; all by default.")] = None,
    probe_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="P", help="Answer /livez, /readyz?verbose and /metrics here, on loopback; 0: any."),
    ] = None,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Keep the tables up to date, until SIGTERM or Ctrl-C. May run several times: the partitions are shared. Without names also the
    projections that the settings name; one of those that fails does not keep the others."""
    logs.configure("console" if sys.stderr.isatty() else "json", log_level)
    settings = load_settings(None, os.environ)
    folding(_run(settings, [named(settings, name) for name in names or known(settings)], probe_port, strict=bool(names)))


async def _run(settings: Settings, projections: Sequence[Projection], probe_port: int | None, *, strict: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    meter = Meter()
    hear: Callable[[consumer.Progress], None] | None = None

    def report(progress: consumer.Progress) -> None:
        if hear is not None:
            hear(progress)
        if (rate := meter.rate(progress.events)) is not None:
            stopped = f", {len(progress.stopped)} partitions stopped" if progress.stopped else ""
            talk(f"{progress.events} events, {rate:.0f}/s, {progress.behind} records behind, {progress.voids} voids{stopped}")

    async with AsyncExitStack() as stack:
        if probe_port is not None:
            from ledger.cli.projections_probe import probed  # what it needs, nobody does who is not probed

            hear = await stack.enter_async_context(probed(settings, stop, probe_port))
        await consumer.run_all(settings, projections, stop, report, strict=strict)


@app.command()
def status(name: Name = "tables", output: OutputOption = Form.table) -> None:
    """Where the tables stand in each partition of the log, and why one stopped."""
    settings = quiet_settings()
    found = folding(standings.status(settings, named(settings, name).name))
    if output is not Form.table:
        show_rows([asdict(one) | {"behind": one.behind} for one in found], (), output)
        return
    for one in found:
        voids = f", {one.voids} voids" if one.voids else ""
        say(f"{one.log}[{one.partition}]  commit {one.seq}  offset {one.offset}  behind {one.behind}{voids}")
        if one.stopped_note:
            say(f"  stopped: {one.stopped_note}")
        if one.other_log:
            say(f"  folded from log {one.other_log}, which is not the present one: run `jobledger projections rebuild {name}`")
    for suffix, version in folding(standings.beside(settings, name)).items():
        talk(f"tables ..{suffix} of version {version} stand beside: {BESIDE[suffix].format(name=name)}")


@app.command()
def verify(name: Name = "tables", output: OutputOption = Form.table) -> None:
    """Fold the log up to where the tables stand and compare row by row: exit 7 if anything differs."""
    settings = quiet_settings()
    verified = folding(_verify(settings, named(settings, name), output))
    if output is Form.table:
        rows = ", ".join(f"{count} {table}" for table, count in sorted(verified.rows.items())) or "no rows"
        say(f"{verified.differences} differences in {rows} after {verified.commits} commits")
    else:
        show_one(asdict(verified), output)
    if verified.differences:
        talk(f"run `jobledger projections rebuild {name}` to fold the tables again")
        raise typer.Exit(DIFFERENCES)


async def _verify(settings: Settings, projection: Projection, output: Form) -> verifying.Verified:
    verified = verifying.Verified()
    with told() as tell:

        def report(verified: verifying.Verified) -> None:
            tell("verifying", verified.records, verified.of, verified.events, verified.left)

        async for difference in verifying.verify(settings, verified, report, projection):
            (say if output is Form.table else talk)(str(difference))
    return verified


add_commands(app)
