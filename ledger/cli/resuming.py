"""Which command goes on with a bulk act that broke off."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from ledger.client.ledger import Ledger
from ledger.core.bulk import BulkKind
from ledger.core.refusal import Refused

COMMANDS: Final[Mapping[str, str]] = {"cancel": "executions cancel", "retry": "executions retry", "redrive": "dead-letters redrive"}
ResumeOption = Annotated[str | None, typer.Option(metavar="BULK_ID", help="Go on with a bulk act that broke off.")]


def way_on(kind: str, bulk_id: str) -> str | None:
    """None for what needs no client."""
    command = COMMANDS.get(kind)
    return None if command is None else f"`jobledger {command} --resume {bulk_id}`"


def check_begun(resume: str | None, reason: str | None) -> None:
    """What is gone on with has the reason that it was begun with."""
    if resume is not None and reason is not None:
        raise typer.BadParameter("a bulk act keeps the reason that it was begun with", param_hint="--reason")


async def check_kind(ledger: Ledger, kind: BulkKind, bulk_id: str) -> None:
    """Raises `Refused` for an act of another kind: whoever says `cancel` wants nothing to run again."""
    rows = await ledger.bulk_acts.get(bulk_id)
    if rows and rows[0].kind != kind:
        way = way_on(rows[0].kind, bulk_id)
        raise Refused(
            "other_kind", f"{bulk_id} is a {rows[0].kind}, no {kind}: " + (f"go on with {way}" if way else "it goes on by itself")
        )
