"""`queues|tenants|keys list|pause|resume`: the same for each of them."""

from typing import Annotated, Literal

import typer

from ledger.cli.acting import act
from ledger.cli.output import Form, OutputOption, row_of, show_rows, talk
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.timing import Reason
from ledger.cli.waiting import DECISION
from ledger.client.acted import Acted
from ledger.client.ledger import Ledger
from ledger.core.pause import PauseScope
from projections.rows import Load, Page

Note = Annotated[str | None, typer.Option(help="For those who wonder; shown wherever the pause is shown.")]
PAUSED = "it is paused, and the note stays as it is"
LOAD_COLUMNS = ("name", "waiting", "delayed", "active", "waits_since", "paused", "note", "actor", "since")
ListedScope = Literal["queue", "tenant", "key"]
Limit = Annotated[int, typer.Option(min=1, max=200)]
Cursor = Annotated[str | None, typer.Option(help="Where a former page said to go on.")]
Name = Annotated[str, typer.Argument(show_default=False)]


async def loads_of(session: Session, scope: ListedScope, cursor: str | None, limit: int) -> Page[Load]:
    async with session.ledger() as ledger:
        services = {"queue": ledger.queues, "tenant": ledger.tenants, "key": ledger.keys}
        return await services[scope].list(cursor=cursor, limit=limit)


def add_list(app: typer.Typer, scope: ListedScope, what: str) -> None:
    """`list` of this scope."""

    def list_(context: typer.Context, limit: Limit = 50, cursor: Cursor = None, output: OutputOption = Form.table) -> None:
        page = wait_for(loads_of(session_of(context), scope, cursor, limit))
        show_rows([row_of(one) for one in page.items], LOAD_COLUMNS, output)
        if page.next is not None:
            talk(f"there are more: --cursor {page.next}")

    app.command("list", help=f"The {what} with executions that wait or run, and those that are paused; by name.")(list_)


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
