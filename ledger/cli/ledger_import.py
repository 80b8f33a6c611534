"""`jobledger ledger import`: a log from an export, into topics where there is none."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.output import Form, OutputOption, show_one, show_rows, talk
from ledger.cli.progress import records_read
from ledger.cli.session import quiet_settings
from ledger.config import Settings
from ledger.core.archive import places
from ledger.core.refusal import Misconfigured
from ledger.kafka.archive_file import ArchiveFile
from ledger.kafka.archive_source import grown, the_same
from ledger.kafka.importing import Imported, Source, import_log

HEADS = ("log", "partition", "commits", "digest")


def import_(
    file: Annotated[Path, typer.Argument(help="An export in the form jsonl.", show_default=False)],
    grow: Annotated[
        bool,
        typer.Option(
            "--grow", help="Decide the history again for more partitions, those of the settings: a new log, under a higher epoch."
        ),
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Check the file and say what is in it; write nothing.")] = False,
    output: OutputOption = Form.table,
) -> None:
    """Check the export from end to end, create the topics, and append the very same commits. Interrupted: run it again, it goes on.
    Start control and workers when it is done, not before."""
    settings = quiet_settings()
    with records_read("bytes") as progress:
        archive = ArchiveFile(file, progress)
    identity = archive.identity
    talk(f"{file} is whole: log {identity.log_id}, {identity.partitions} partitions, epoch {identity.epoch}, {archive.commits} commits")
    if plan:
        heads = [archive.head(place) for place in places(identity.partitions)]
        show_rows([{"log": one.log, "partition": one.partition, "commits": one.seq, "digest": one.digest} for one in heads], HEADS, output)
        return
    source = _source(settings, archive, grow)
    with records_read("commits") as progress:
        done = asyncio.run(import_log(settings, source, progress))
    _show(done, output)


def _source(settings: Settings, archive: ArchiveFile, grow: bool) -> Source:
    """The same commits; or the history decided again for more partitions."""
    identity = archive.identity
    if settings.partitions == identity.partitions and not grow:
        return the_same(archive)
    if grow:
        return grown(archive, settings.partitions)
    raise Misconfigured(
        f"the export has {identity.partitions} partitions, the settings say {settings.partitions}: correct `partitions`; or, to have more, "
        "let the history be decided again with --grow: a new log, see docs/backup.md"
    )


def _show(done: Imported, output: Form) -> None:
    show_one(
        {
            "log_id": done.log_id,
            "partitions": done.partitions,
            "epoch": done.epoch,
            "commits": done.commits,
            "appended": done.appended,
        },
        output,
    )
    talk(
        "the log is open: run `jobledger db upgrade` and `jobledger projections rebuild`, as tables of the former log may be ahead of it; "
        "then `jobledger ledger verify`, which asks the tables; then the projections, control and workers"
    )
