"""`jobledger diff --from T --to T`: what changed between two moments in jobs, versions, pauses and schedules. Read from the logs."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from ledger.cli.moments import moment_in
from ledger.cli.output import Form, OutputOption, row_of, show_one, show_rows, talk
from ledger.cli.progress import records_read
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.timing import now
from ledger.client.diffing import Change

COLUMNS: Final = ("kind", "name", "what", "differences", "at", "actor", "reason")


def command(
    context: typer.Context,
    from_: Annotated[str, typer.Option("--from", metavar="TIME|EVENT", help="The earlier moment.", show_default=False)],
    to: Annotated[str | None, typer.Option("--to", metavar="TIME|EVENT", help="The later moment, now by default.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """What stands at the later moment and did not, or otherwise, at the earlier one. What came and went between them does not show.
    A moment is an instant (UTC if it has no offset) or the name of an event, as 3-120-2 or registry-12."""

    async def work(session: Session) -> None:
        with records_read() as progress:
            async with session.ledger() as ledger:
                first, second = moment_in(from_, "--from"), moment_in(to or now(), "--to")
                changes = await ledger.diff(first, second, progress=progress)
        _show(changes, output)

    wait_for(work(session_of(context)))


def _show(changes: Sequence[Change], form: Form) -> None:
    rows = [{**row_of(one), "differences": _told(one, form)} for one in changes]
    if form is Form.table and not rows:
        talk("nothing changed")
    elif form in (Form.json, Form.yaml):
        show_one({"changes": rows}, form)
    else:
        show_rows(rows, COLUMNS, form)


def _told(one: Change, form: Form) -> object:
    if form is Form.table:
        return "; ".join(map(str, one.differences)) or None
    return [difference._asdict() for difference in one.differences]
