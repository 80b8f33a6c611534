"""`jobledger ledger export`: the whole log as JSON lines, to a file or to stdout."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from ledger.cli.output import talk
from ledger.cli.progress import records_read
from ledger.cli.session import quiet_settings
from ledger.cli.whole import written
from ledger.core.refusal import Refused
from ledger.kafka import export as exporting

STDOUT = Path("-")


class As(StrEnum):
    jsonl = "jsonl"
    cloudevents = "cloudevents"


def export(
    file: Annotated[Path, typer.Argument(help="Where to: it is there once it is whole. `-`: stdout.")] = STDOUT,
    form: Annotated[
        As, typer.Option("--format", help="jsonl: the commits' own bytes, which `ledger import` takes; cloudevents: CloudEvents 1.0.")
    ] = As.jsonl,
) -> None:
    """Write out every commit of both logs that is there when it begins, up to one moment. Each chain is checked on the way."""
    settings = quiet_settings()
    with records_read() as progress, opened(file) as out:
        lines = exporting.lines(settings, progress) if form is As.jsonl else exporting.cloudevents(settings, progress)
        written = asyncio.run(_copy(lines, out))
    if file != STDOUT:
        talk(f"{file}: {written} bytes")


async def _copy(lines: AsyncGenerator[bytes, None], out: BinaryIO) -> int:
    """How many bytes there were."""
    written = 0
    async with aclosing(lines) as found:
        async for some in found:
            out.write(some)
            written += len(some)
    return written


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    if file == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        if file.is_dir():
            raise typer.BadParameter(f"{file} is a folder: name a file in it", param_hint="FILE")
        with written(file) as out:
            yield out
    except OSError as error:
        raise Refused("unwritable", f"{file} cannot be written: {error}") from error
