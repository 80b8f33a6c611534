"""`jobledger audit`: what has to add up, one line each; exit 7 where anything does not."""

import asyncio
import logging
import os
from dataclasses import asdict
from typing import Final

import typer

from ledger.cli.errors import DIFFERENCES
from ledger.cli.output import Form, OutputOption, show_one, show_rows, talk
from ledger.config.loading import load_settings
from projections.audit import Audited, audit

SAYS: Final = {
    "chain": "every commit follows the one before",
    "commands": "accepted = outcomes",
    "ticks": "expected = fired + skipped + missed",
    "executions": "requested = terminal + live",
    "attempts": "started = ended + running",
    "tables": "equal to the log, row by row",
}


def command(output: OutputOption = Form.table) -> None:
    """Read both logs from their first commit to their present end and see whether everything adds up: the chain, commands and outcomes,
    expected ticks, executions, attempts, and the tables against the log. Exit 7 on any difference."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the error itself says it better
    found = asyncio.run(audit(load_settings(None, os.environ), lambda phase: talk(f"reading: {phase}")))
    if output is Form.table:
        for one in found:
            typer.echo(line_of(one))
    elif output is Form.jsonl:
        show_rows([asdict(one) for one in found], (), output)
    else:
        show_one({"checks": [asdict(one) for one in found], "differences": sum(one.differences for one in found)}, output)
    for one in found:
        for what in one.named:
            talk(f"{one.check}: {what}")
    if any(one.differences for one in found):
        raise typer.Exit(DIFFERENCES)


def line_of(one: Audited) -> str:
    figures = ", ".join(f"{count} {name}" for name, count in one.figures.items())
    verdict = "ok" if one.differences == 0 else f"{one.differences} DIFFERENCES"
    return f"{one.check:<10}  {verdict:<3}  {figures}  ({SAYS[one.check]})"
