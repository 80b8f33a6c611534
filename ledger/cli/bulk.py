"""`jobledger bulk list|show`: many cancels, retries or redrives of one mind, and backfills: who did them, and how far each is."""

from typing import Annotated, Final

import typer

from ledger.cli.inputs import instant_of
from ledger.cli.output import Form, OutputOption, row_of, say, show_one, show_rows, talk
from ledger.cli.resuming import way_on
from ledger.cli.session import Session, session_of, wait_for
from ledger.client.ledger import Ledger
from ledger.core.refusal import Refused
from projections.schedule_rows import BulkAct

app = typer.Typer(help="Bulk acts: what was done to many at once, by whom, and how far it is.", no_args_is_help=True)
LIST: Final = ("bulk_id", "kind", "planned", "done", "refused", "outcome", "actor", "reason", "started_at", "finished_at")
SHARES: Final = ("partition", "planned", "done", "refused", "outcome", "finished_at")


@app.command("list")
def list_(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(help="cancel, retry, redrive or backfill.")] = None,
    actor: Annotated[str | None, typer.Option(help="Who did it.")] = None,
    going_on: Annotated[bool | None, typer.Option("--going-on/--ended", help="Those that go on or broke off, or the others.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begun at or after; UTC if it has no offset.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Begun before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where a former page said to go on.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Bulk acts, the newest first, each over all of its partitions."""
    since, until = instant_of(from_, "--from"), instant_of(to, "--to")

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            page = await ledger.bulk_acts.acts(kind=kind, actor=actor, going_on=going_on, from_=since, to=until, cursor=cursor, limit=limit)
        show_rows([row_of(one) for one in page.items], LIST, output)
        if page.next is not None:
            talk(f"there are more: --cursor {page.next}")

    wait_for(work(session_of(context)))


@app.command()
def show(context: typer.Context, bulk_id: Annotated[str, typer.Argument(show_default=False)], output: OutputOption = Form.table) -> None:
    """A bulk act, what it was about, and its share in each partition."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            shares = await _shares(ledger, bulk_id)
        row, partitions = _summed(shares), [_share(one) for one in shares]
        if output is not Form.table:
            show_one({**row, "partitions": partitions}, output)
            return
        show_one(row, output)
        say()
        show_rows(partitions, SHARES, output)
        if row["finished_at"] is None and (way := way_on(shares[0].kind, bulk_id)) is not None:
            talk(f"it goes on, or its client died: {way}")

    wait_for(work(session_of(context)))


async def _shares(ledger: Ledger, bulk_id: str) -> list[BulkAct]:
    shares = list(await ledger.bulk_acts.get(bulk_id))
    if not shares:
        raise Refused("unknown_bulk_act", f"the tables have no bulk act {bulk_id}, or do not have it yet")
    return shares


def _summed(shares: list[BulkAct]) -> dict[str, object]:
    first, is_over = shares[0], all(one.finished_at is not None for one in shares)
    return {
        "bulk_id": first.bulk_id,
        "kind": first.kind,
        "filter": first.filter,
        **{name: sum(getattr(one, name) for one in shares) for name in ("planned", "done", "refused")},
        "actor": first.actor,
        "reason": first.reason,
        "outcome": first.outcome if is_over else None,
        "started_at": min(str(row_of(one)["started_at"]) for one in shares),
        "finished_at": max(str(row_of(one)["finished_at"]) for one in shares) if is_over else None,
    }


def _share(one: BulkAct) -> dict[str, object]:
    row = row_of(one)
    return {"partition": one.address.partition, **{name: row[name] for name in SHARES[1:]}}
