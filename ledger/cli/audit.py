"""`jobledger audit`: what has to add up, one line each; exit 7 where anything does not."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import MsgspecError, json

from ledger.cli.errors import DIFFERENCES
from ledger.cli.output import Form, OutputOption, say, show_one, show_rows, talk
from ledger.cli.session import quiet_settings
from ledger.cli.whole import written
from ledger.core.audit_saved import SavedAudit
from projections.audit import Audited, audit

SAYS: Final = {
    "chain": "every commit follows the one before",
    "commands": "accepted = outcomes",
    "ticks": "expected = fired + skipped + missed",
    "executions": "requested = terminal + live",
    "attempts": "started = ended + running",
    "tables": "equal to the log, row by row",
}
SAYS_PARTLY: Final = {"tables": "the rows that those commits touched are equal to the log; all the others: --full"}
KEPT: Final = Path(".jobledger/audit.json")


def command(
    full: Annotated[bool, typer.Option("--full", help="From the first commit, and every row of the tables.")] = False,
    state: Annotated[Path, typer.Option(metavar="FILE", help="Where to go on from, and what to keep for the next time.")] = KEPT,
    output: OutputOption = Form.table,
) -> None:
    """See whether everything adds up: the chain, commands and outcomes, expected ticks, executions, attempts, the tables. Goes on from the
    last audit that found no difference, and compares the rows that were touched since; the first one, and one with --full, reads both logs
    whole and compares every row. Exit 7 on any difference."""
    since = None if full else _kept(state)
    found = asyncio.run(audit(quiet_settings(), lambda phase: talk(f"reading: {phase}"), since))
    if found.saved is not None:
        keep(state, found.saved)
    _show(found.checks, output)
    if any(one.differences for one in found.checks):
        raise typer.Exit(DIFFERENCES)


def _kept(path: Path) -> SavedAudit | None:
    """What cannot be read is of another release, or was cut off: the audit begins anew."""
    try:
        return json.decode(path.read_bytes(), type=SavedAudit)
    except FileNotFoundError:
        return None
    except (OSError, MsgspecError) as error:
        talk(f"{path} cannot be read ({error}): from the first commit")
        return None


def keep(path: Path, saved: SavedAudit) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as out:
            out.write(json.encode(saved))
    except OSError as error:
        talk(f"{path} cannot be written ({error}): the next audit begins where this one did")


def _show(checks: list[Audited], output: Form) -> None:
    if output is Form.table:
        for one in checks:
            say(line_of(one))
    elif output is Form.jsonl:
        show_rows([asdict(one) for one in checks], (), output)
    else:
        show_one({"checks": [asdict(one) for one in checks], "differences": sum(one.differences for one in checks)}, output)
    for one in checks:
        for what in one.named:
            talk(f"{one.check}: {what}")


def line_of(one: Audited) -> str:
    figures = ", ".join(f"{count} {name}" for name, count in one.figures.items())
    verdict = "ok" if one.differences == 0 else f"{one.differences} DIFFERENCES"
    return f"{one.check:<10}  {verdict:<3}  {figures}  ({SAYS_PARTLY[one.check] if one.partly else SAYS[one.check]})"
