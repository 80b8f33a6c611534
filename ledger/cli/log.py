"""`jobledger ledger verify|tail|show`: the log itself. The other commands have modules of their own."""

import asyncio
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from ledger.cli.errors import DIFFERENCES, NOT_FOUND
from ledger.cli.ledger_export import export
from ledger.cli.ledger_import import import_
from ledger.cli.output import Form, OutputOption, show_one, show_rows, talk
from ledger.cli.progress import records_read
from ledger.cli.session import quiet_settings
from ledger.config import Settings
from ledger.core import wire
from ledger.core.refusal import Misconfigured, Unavailable
from ledger.kafka import history
from ledger.kafka import tail as tails
from ledger.kafka.log_reader import AcceptedCommit, LogReader
from ledger.kafka.opening import require_topics
from ledger.kafka.verify import NOTHING, Finding, Heads, LogName, Progress, strangers
from ledger.kafka.verify import verify as verify_log
from projections.heads import heads_of_tables

COLUMNS = ("log", "partition", "commits", "events", "voids", "seq", "vouched", "offset", "broken")

app = typer.Typer(help="The log itself: its chain and its events.", no_args_is_help=True)
app.command()(export)
app.command("import")(import_)


class Log(StrEnum):
    events = "events"
    registry = "registry"


LogOption = Annotated[Log, typer.Option("--log", help="Which of the two logs.")]
PartitionOption = Annotated[int | None, typer.Option("--partition", min=0, help="One partition alone.")]


@app.command()
def verify(
    log: Annotated[Log | None, typer.Option("--log", help="One of the two logs alone.")] = None,
    partition: PartitionOption = None,
    tables: Annotated[
        bool, typer.Option("--tables/--no-tables", help="Compare with the heads that the tables remember: a change at the very end shows.")
    ] = True,
    output: OutputOption = Form.table,
) -> None:
    """Walk the chain of every partition from its first commit to its present end. Whatever was altered, dropped, swapped or added by
    another is named with partition and offset: exit 7. `vouched`: the commit up to which the tables have the same."""
    settings = quiet_settings()
    _check_partition(settings, log, partition)
    name: LogName | None = log.value if log is not None else None if partition is None else "events"
    with records_read() as progress:
        findings = asyncio.run(_verify(settings, name, partition, progress, tables))
    _show(findings, output)
    broken = [one for one in findings if one.broken is not None]
    for one in broken:
        talk(f"{settings.topic(one.log)}[{one.partition}] is broken at offset {one.offset}: {one.broken}")
    if broken:
        raise typer.Exit(DIFFERENCES)


async def _verify(settings: Settings, name: LogName | None, partition: int | None, progress: Progress, tables: bool) -> list[Finding]:
    (heads, unknown), _ = await asyncio.gather(_remembered(settings, tables), require_topics(settings))  # one's silence is the other's time
    findings = await verify_log(settings, name, partition, progress, heads)
    if (other := strangers(findings, heads)) is not None:
        unknown = f"they are of log {other}, and no topic is: were all made anew, or does `database.schema` name the tables of another log?"
    if unknown is not None:
        talk(f"the ends of the partitions are not compared with the tables, so a change of a last commit does not show: {unknown}")
    return findings


async def _remembered(settings: Settings, tables: bool) -> tuple[Heads, Exception | str | None]:
    """The heads that the tables hold, or why they are not known."""
    if not tables:
        return NOTHING, None
    try:
        return await heads_of_tables(settings), None
    except (Unavailable, Misconfigured) as error:
        return NOTHING, error


@app.command()
def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until interrupted.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=10_000, help="How many events.")] = 20,
    log: LogOption = Log.events,
    partition: PartitionOption = None,
) -> None:
    """The last events as JSON lines, each with its name (log, partition, seq, index) and its address (partition, offset, index)."""
    settings = quiet_settings()
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
    settings = quiet_settings()
    _check_partition(settings, log, partition)
    commit, void = asyncio.run(_find(settings, log, partition, place, seq))
    if commit is None:
        talk(f"{settings.topic(log)}[{partition}] holds no commit {'number' if seq else 'at offset'} {place}")
        raise typer.Exit(NOT_FOUND)
    _write(tails.lines(commit, void=void))
    if void:
        talk(f"the commit at offset {commit.offset} is void: its number {commit.header.seq} was taken before, it counts for no reader")


def _check_partition(settings: Settings, log: Log | None, partition: int | None) -> None:
    count = 1 if log is Log.registry else settings.partitions
    if partition is not None and partition >= count:
        raise typer.BadParameter(f"{log or 'events'} has the partitions 0 to {count - 1}", param_hint="partition")


def _show(findings: list[Finding], form: Form) -> None:
    rows = [asdict(one) for one in findings]
    if form in (Form.table, Form.jsonl):
        show_rows(rows, COLUMNS, form)
        return
    totals = {name: sum(int(row[name]) for row in rows) for name in ("commits", "events", "voids")}
    show_one({"partitions": rows, **totals, "broken": sum(one.broken is not None for one in findings)}, form)


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
        sys.stdout.write(wire.encode_line(line).decode())
    sys.stdout.flush()
