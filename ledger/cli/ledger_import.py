"""`jobledger ledger import`: a log from an export, into topics where there is none."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.output import Form, OutputOption, show_one, talk
from ledger.cli.progress import records_read
from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core.archive import REGISTRY, Place, places
from ledger.core.refusal import Misconfigured
from ledger.kafka.archive_file import ArchiveFile
from ledger.kafka.importing import Imported, Source, import_log


def import_(
    file: Annotated[Path, typer.Argument(help="An export in the form jsonl.", show_default=False)],
    plan: Annotated[bool, typer.Option("--plan", help="Check the file and say what is in it; write nothing.")] = False,
    output: OutputOption = Form.table,
) -> None:
    """Check the export from end to end, create the topics, and append the very same commits. Interrupted: run it again, it goes on.
    Start control and workers only when it is done."""
    settings = load_settings(None, os.environ)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the error itself says it better
    with records_read("bytes") as progress:
        archive = ArchiveFile(file, progress)
    identity = archive.identity
    talk(f"{file} is whole: log {identity.log_id}, {identity.partitions} partitions, epoch {identity.epoch}, {archive.commits} commits")
    if plan:
        heads = [archive.head(place) for place in places(identity.partitions)]
        show_one(
            {"log_id": identity.log_id, "partitions": identity.partitions, "commits": {f"{h.log}[{h.partition}]": h.seq for h in heads}},
            output,
        )
        return
    with records_read("commits") as progress:
        done = asyncio.run(import_log(settings, _source(settings, archive), progress))
    _show(done, output)


def _source(settings: Settings, archive: ArchiveFile) -> Source:
    """The same commits."""
    identity = archive.identity
    if settings.partitions != identity.partitions:
        raise Misconfigured(
            f"the export has {identity.partitions} partitions, the settings say {settings.partitions}: correct `partitions`"
        )
    every = list(places(identity.partitions))
    events: list[Place] = [place for place in every if place != REGISTRY]
    return Source(
        identity,
        archive.commits,
        lambda: ((place, record) for place in events for record in archive.records(place)),
        lambda: archive.records(REGISTRY),
        {place: archive.head(place).position for place in every},
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
    talk("the log is open: run `jobledger ledger verify`, then `jobledger db upgrade` and the projections, then control and workers")
