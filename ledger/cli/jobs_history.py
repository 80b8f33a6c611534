"""`jobledger jobs versions|diff`: how a job came to be what it is."""

from typing import Annotated

import typer

from ledger.cli.output import Form, OutputOption, row_of, show_one, show_rows, talk
from ledger.cli.session import Session, session_of, wait_for
from ledger.client.content import Difference
from ledger.client.history import version_differences, version_history

VERSIONS = ("job_version", "created_at", "actor", "reason", "differences")
DIFF = ("field", "before", "after")


def versions(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where a former page said to go on.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """The versions of a job, the newest first: who, when, why, and what differs from the one before."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            page = await version_history(ledger.versions, job_id, cursor=cursor, limit=limit)
        rows = [{**row_of(one), "differences": _told(one.differences, output)} for one in page.items]
        show_rows(rows, VERSIONS, output)
        if page.next is not None:
            talk(f"there are more: --cursor {page.next}")

    wait_for(work(session_of(context)))


def diff(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    first: Annotated[int, typer.Argument(metavar="V1", min=1, show_default=False)],
    second: Annotated[int, typer.Argument(metavar="V2", min=1, show_default=False)],
    output: OutputOption = Form.table,
) -> None:
    """What version V2 says otherwise than V1, field by field."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            found = await version_differences(ledger.versions, job_id, first, second)
        rows = [one._asdict() for one in found]
        if output is Form.table and not rows:
            talk(f"versions {first} and {second} of {job_id} say the same")
        elif output in (Form.json, Form.yaml):
            show_one({"job_id": job_id, "before": first, "after": second, "differences": rows}, output)
        else:
            show_rows(rows, DIFF, output)

    wait_for(work(session_of(context)))


def _told(differences: tuple[Difference, ...], form: Form) -> object:
    if form is Form.table:
        return "; ".join(map(str, differences)) or None
    return [one._asdict() for one in differences]
