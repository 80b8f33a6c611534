"""`queues|tenants|keys pause|resume`: the same acts for each of them."""

from typing import Annotated

import typer

from ledger.cli.acting import act
from ledger.cli.output import Form, OutputOption, row_of
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.submit import DECISION
from ledger.cli.timing import Reason
from ledger.client.acted import Acted
from ledger.client.ledger import Ledger
from ledger.core.pause import PauseScope

Note = Annotated[str | None, typer.Option(help="For those who wonder; shown wherever the pause is shown.")]
PAUSED = "it is paused, and the note stays as it is"
PAUSE_COLUMNS = ("note", "actor", "since")
Name = Annotated[str, typer.Argument(show_default=False)]


async def pauses_of(session: Session, scope: PauseScope) -> list[dict[str, object]]:
    """All that stand, as rows."""
    rows: list[dict[str, object]] = []
    cursor = None
    async with session.ledger() as ledger:
        while True:
            page = await ledger.pauses.list(scope=scope, cursor=cursor, limit=200)
            rows += [{name: value for name, value in row_of(one).items() if name in ("name", *PAUSE_COLUMNS)} for one in page.items]
            if (cursor := page.next) is None:
                return rows


def add_pauses(app: typer.Typer, scope: PauseScope, what: str) -> None:
    """`pause` and `resume` of this scope."""

    def pause(context: typer.Context, name: Name, note: Note = None, reason: Reason = None, output: OutputOption = Form.table) -> None:
        async def ask(ledger: Ledger) -> Acted:
            return await ledger.pause(**{scope: name}, note=note, reason=reason, timeout=DECISION)

        wait_for(act(session_of(context), output, ask, unchanged=PAUSED))

    def resume(context: typer.Context, name: Name, reason: Reason = None, output: OutputOption = Form.table) -> None:
        async def ask(ledger: Ledger) -> Acted:
            return await ledger.resume(**{scope: name}, reason=reason, timeout=DECISION)

        wait_for(act(session_of(context), output, ask, unchanged="it is not paused"))

    app.command(help=f"Hold {what}: what is submitted waits, ticks are skipped.")(pause)
    app.command(help=f"Let {what} go on.")(resume)
