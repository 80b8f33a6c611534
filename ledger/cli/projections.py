"""`jobledger projections run|status|rebuild|verify`: the tables as a fold of the log."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Coroutine
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import orjson
import typer
import uvloop

from ledger.config import Settings
from ledger.config.loading import load_settings
from processors import logs
from projections import consumer
from projections import rebuild as rebuilding
from projections import status as standings
from projections import verify as verifying

DIFFERENCES: Final = 7
REPORT_EVERY: Final = 5.0  # seconds

app = typer.Typer(help="The tables as a fold of the log: they can be dropped and rebuilt at any time.", no_args_is_help=True)
T = TypeVar("T")


class Form(StrEnum):
    table = "table"
    json = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="How to print it.")]


@app.command()
def run() -> None:
    """Keep the tables up to date, until SIGTERM or Ctrl-C. May run several times: the partitions are shared."""
    logs.configure("console" if sys.stderr.isatty() else "json")
    settings = load_settings(None, os.environ)
    _go(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    meter = _Meter()

    def report(progress: consumer.Progress) -> None:
        if (rate := meter.rate(progress.events)) is not None:
            stopped = f", {len(progress.stopped)} partitions stopped" if progress.stopped else ""
            _talk(f"{progress.events} events, {rate:.0f}/s, {progress.behind} records behind, {progress.voids} voids{stopped}")

    await consumer.run(settings, stop, report)


@app.command()
def status(output: Output = Form.table) -> None:
    """Where the tables stand in each partition of the log, and why one stopped."""
    found = _go(standings.status(load_settings(None, os.environ)))
    if output is Form.json:
        _print_json([asdict(one) | {"behind": one.behind} for one in found])
        return
    for one in found:
        voids = f", {one.voids} voids" if one.voids else ""
        typer.echo(f"{one.log}[{one.partition}]  commit {one.seq}  offset {one.offset}  behind {one.behind}{voids}")
        if one.stopped_note:
            typer.echo(f"  stopped: {one.stopped_note}")
        if one.other_log:
            typer.echo(f"  folded from log {one.other_log}, which is not the present one: run `jobledger projections rebuild`")


@app.command()
def rebuild(output: Output = Form.table) -> None:
    """Fold the log again from its first commit. The tables in use stay as they are until the new ones take their place."""
    settings = load_settings(None, os.environ)
    meter = _Meter()

    def report(progress: rebuilding.Progress) -> None:
        if meter.rate(progress.events) is not None:
            _talk(f"{progress.phase}: {progress.records} of {progress.of} records, {progress.events} events")

    done = _go(rebuilding.rebuild(settings, report))
    rate = done.events / done.seconds
    if output is Form.json:
        _print_json({"events": done.events, "records": done.records, "seconds": done.seconds, "events_per_second": rate})
    else:
        typer.echo(
            f"{done.events} events of {done.records} commits in {done.seconds:.1f} s, {rate:.0f} events/s; the new tables are in use"
        )


@app.command()
def verify(output: Output = Form.table) -> None:
    """Fold the log in memory up to where the tables stand and compare row by row: exit 7 if anything differs."""
    verified = _go(_verify(load_settings(None, os.environ), output))
    if output is Form.json:
        _print_json(asdict(verified))
    else:
        rows = ", ".join(f"{count} {table}" for table, count in sorted(verified.rows.items())) or "no rows"
        typer.echo(f"{verified.differences} differences in {rows} after {verified.commits} commits")
    if verified.differences:
        _talk("run `jobledger projections rebuild` to fold the tables again")
        raise typer.Exit(DIFFERENCES)


async def _verify(settings: Settings, output: Form) -> verifying.Verified:
    verified, meter = verifying.Verified(), _Meter()

    def report(verified: verifying.Verified) -> None:
        if meter.rate(verified.commits) is not None:
            _talk(f"{verified.commits} commits, {sum(verified.rows.values())} rows, {verified.differences} differences")

    async for difference in verifying.verify(settings, verified, report):
        (_talk if output is Form.json else typer.echo)(str(difference))
    return verified


class _Meter:
    """Says a rate every few seconds."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._count = 0

    def rate(self, count: int) -> float | None:
        """Since it was said last; None if that is not long ago, or nothing happened."""
        passed = time.monotonic() - self._told
        if passed < REPORT_EVERY or count == self._count:
            return None
        rate = (count - self._count) / passed
        self._told, self._count = time.monotonic(), count
        return rate


def _go(work: Coroutine[object, object, T]) -> T:
    """Folding makes millions of small objects that never form cycles: the collector need not look so often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return uvloop.run(work)


def _print_json(document: object) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _talk(text: str) -> None:
    typer.echo(text, err=True)
