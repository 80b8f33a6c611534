"""`jobledger ledger verify|tail|show`: the log itself."""

import asyncio
import os
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer
from msgspec import json
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.kafka import history
from ledger.kafka import tail as tails
from ledger.kafka.log_reader import AcceptedCommit, LogReader
from ledger.kafka.opening import require_topics
from ledger.kafka.verify import Finding, LogName
from ledger.kafka.verify import verify as verify_log

NOT_FOUND, DIFFERENCES = 3, 7
REPORT_EVERY = 5.0  # seconds, where stderr is no terminal

app = typer.Typer(help="The log itself: its chain and its events.", no_args_is_help=True)


class Form(StrEnum):
    table = "table"
    json = "json"


class Log(StrEnum):
    events = "events"
    registry = "registry"


LogOption = Annotated[Log, typer.Option("--log", help="Which of the two logs.")]
PartitionOption = Annotated[int | None, typer.Option("--partition", min=0, help="One partition alone.")]


@app.command()
def verify(
    log: Annotated[Log | None, typer.Option("--log", help="One of the two logs alone.")] = None,
    partition: PartitionOption = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.table,
) -> None:
    """Walk the chain of every partition from its first commit to its present end. Whatever was altered, dropped, swapped or added by
    another is named with partition and offset: exit 7."""
    settings = load_settings(None, os.environ)
    _check_partition(settings, log, partition)
    name: LogName | None = None if log is None else log.value
    findings = asyncio.run(_verify(settings, name, partition))
    _print_findings(findings, output)
    broken = [one for one in findings if one.broken is not None]
    for one in broken:
        _talk(f"{settings.topic(one.log)}[{one.partition}] is broken at offset {one.offset}: {one.broken}")
    if broken:
        raise typer.Exit(DIFFERENCES)


@app.command()
def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until interrupted.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=10_000, help="How many events.")] = 20,
    log: LogOption = Log.events,
    partition: PartitionOption = None,
) -> None:
    """The last events as JSON lines, each with its name (log, partition, seq, index) and its address (partition, offset, index)."""
    settings = load_settings(None, os.environ)
    _check_partition(settings, log, partition)
    asyncio.run(_tail(settings, log, partition, lines, follow))


@app.command()
def show(
    partition: Annotated[int, typer.Argument(min=0)],
    place: Annotated[int, typer.Argument(min=0, help="The offset of a record; with --seq the number of a commit.")],
    seq: Annotated[bool, typer.Option("--seq", help="PLACE is the number of a commit (seq), not an offset.")] = False,
    log: LogOption = Log.events,
) -> None:
    """The events of one commit as JSON lines. Nothing there: exit 3."""
    settings = load_settings(None, os.environ)
    _check_partition(settings, log, partition)
    commit, void = asyncio.run(_find(settings, log, partition, place, seq))
    if commit is None:
        _talk(f"{settings.topic(log)}[{partition}] holds no commit {'number' if seq else 'at offset'} {place}")
        raise typer.Exit(NOT_FOUND)
    _write(tails.lines(commit, void=void))
    if void:
        _talk(f"the commit at offset {commit.offset} is void: its number {commit.header.seq} was taken before, it counts for no reader")


def _check_partition(settings: Settings, log: Log | None, partition: int | None) -> None:
    count = 1 if log is Log.registry else settings.partitions
    if partition is not None and partition >= count:
        raise typer.BadParameter(f"{log or 'events'} has the partitions 0 to {count - 1}", param_hint="partition")


async def _verify(settings: Settings, log: LogName | None, partition: int | None) -> list[Finding]:
    if sys.stderr.isatty():
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("records", total=None)
            return await verify_log(settings, log, partition, lambda done, total: bar.update(task, completed=done, total=total))
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= REPORT_EVERY:
            told = time.monotonic()
            _talk(f"{done} of {total} records")

    return await verify_log(settings, log, partition, tell)


def _print_findings(findings: list[Finding], form: Form) -> None:
    if form is Form.json:
        document = {
            "partitions": findings,
            "commits": sum(one.commits for one in findings),
            "events": sum(one.events for one in findings),
            "voids": sum(one.voids for one in findings),
            "broken": sum(one.broken is not None for one in findings),
        }
        sys.stdout.write(json.format(json.encode(document)).decode() + "\n")
        return
    table = Table("log", "partition", "commits", "events", "voids", "last seq", "verdict")
    for one in findings:
        verdict = "good" if one.broken is None else f"broken at offset {one.offset}"
        table.add_row(one.log, *map(str, (one.partition, one.commits, one.events, one.voids, one.seq)), verdict)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


async def _tail(settings: Settings, log: Log, partition: int | None, most: int, follow: bool) -> None:
    await require_topics(settings)
    count = 1 if log is Log.registry else settings.partitions
    found, heads = await tails.tail(settings, log, range(count) if partition is None else [partition], most)
    _write(found)
    if follow:
        await tails.follow(settings, heads, _write)


async def _find(settings: Settings, log: Log, partition: int, place: int, is_seq: bool) -> tuple[AcceptedCommit | None, bool]:
    await require_topics(settings)
    async with LogReader(settings, log, partition) as reader:
        if is_seq:
            return await history.by_seq(reader, place), False
        commit = await history.at_offset(reader, place)
        return commit, commit is not None and await history.is_void(reader, commit)


def _write(lines: list[tails.Line]) -> None:
    for line in lines:
        sys.stdout.write(json.encode(line).decode() + "\n")
    sys.stdout.flush()


def _talk(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    app()
