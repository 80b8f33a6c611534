"""`jobledger jobs`: jobs, their versions and schedules. `list` and `show` are here, each other command in a module of its own."""

from collections.abc import Sequence
from typing import Annotated

import typer

from ledger.cli import jobs_acts, jobs_history, jobs_preview, jobs_rehearse, jobs_schedule
from ledger.cli.moments import AsOfOption, moment_in
from ledger.cli.output import Form, OutputOption, row_of, say, show_one, show_rows, talk
from ledger.cli.past_events import COLUMNS, rows_of
from ledger.cli.progress import records_read
from ledger.cli.session import Session, session_of, wait_for
from ledger.client.as_of import JobThen
from ledger.client.ledger import Ledger
from ledger.core.refusal import Refused
from projections.rows import PastEvent

app = typer.Typer(help="Jobs, their versions and schedules.", no_args_is_help=True)

LIST = ("job_id", "kind", "state", "job_name", "tenant", "name", "queue", "exclusive_scope", "current_version", "updated_at", "paused_note")
VERSIONS = ("job_version", "content_hash", "schedule", "options", "data", "actor", "created_at")


@app.command("list")
def list_(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(help="system, scheduled or on_demand.")] = None,
    state: Annotated[str | None, typer.Option(help="declared, active, paused or retired.")] = None,
    job_name: Annotated[str | None, typer.Option("--name", help="The handler's name.")] = None,
    tenant: Annotated[str | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where a former page said to go on.")] = None,
    as_of: AsOfOption = None,
    output: OutputOption = Form.table,
) -> None:
    """Jobs, by their id."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            if as_of is None:
                page = await ledger.definitions.list(kind=kind, state=state, job_name=job_name, tenant=tenant, cursor=cursor, limit=limit)
            else:
                with records_read() as progress:
                    then = await ledger.as_of(moment_in(as_of, "--as-of"), progress=progress)
                    page = await then.jobs(kind=kind, state=state, job_name=job_name, tenant=tenant, cursor=cursor, limit=limit)
        show_rows([row_of(one) for one in page.items], LIST, output)
        if page.next is not None:
            talk(f"there are more: --cursor {page.next}")

    wait_for(work(session_of(context)))


@app.command()
def show(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(show_default=False)],
    history: Annotated[bool, typer.Option("--history", help="What became of it, read from the logs themselves.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="With --history: so many events of its home partition, the last ones.")] = 200,
    as_of: AsOfOption = None,
    output: OutputOption = Form.table,
) -> None:
    """A job, how its schedule stands, and its versions, the newest first."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            then = await _then(ledger, job_id, as_of)
            if then is None:
                when = "" if as_of is None else f" as of {as_of}"
                raise Refused("unknown_job", f"there is no job {job_id}{when}: `jobledger jobs list` shows what there is")
            past = await _past(ledger, job_id, as_of, limit) if history else []
        events, rows = rows_of(past), [row_of(one) for one in then.versions]
        stands = None if then.status is None else row_of(then.status)
        if then.versions_next is not None:
            talk(f"there are more versions: `jobledger jobs versions {job_id} --cursor {then.versions_next}`")
        if output is not Form.table:
            versions = {"versions": rows, "versions_next": then.versions_next}
            show_one({**row_of(then.definition), "status": stands, **versions, **({"events": events} if history else {})}, output)
            return
        show_one({**row_of(then.definition), **(stands or {}), "address": None}, output)
        say()
        show_rows(rows, VERSIONS, output)
        if history:
            say()
            show_rows(events, COLUMNS, output)

    wait_for(work(session_of(context)))


async def _past(ledger: Ledger, job_id: str, as_of: str | None, most: int) -> Sequence[PastEvent]:
    if as_of is None:
        return await ledger.definitions.history(job_id, most=most)
    return await (await ledger.as_of(moment_in(as_of, "--as-of"))).job_history(job_id, most=most)


async def _then(ledger: Ledger, job_id: str, as_of: str | None) -> JobThen | None:
    """Now, by the tables, or at a moment of the past, by the log."""
    if as_of is not None:
        with records_read() as progress:
            return await (await ledger.as_of(moment_in(as_of, "--as-of"), progress=progress)).job(job_id)
    job = await ledger.definitions.get(job_id)
    if job is None:
        return None
    versions = await ledger.versions.list(job_id, limit=50)
    return JobThen(job, await ledger.statuses.get(job_id), versions.items, versions.next)


for name, command in (
    ("schedule", jobs_schedule.command),
    ("preview", jobs_preview.command),
    ("rehearse", jobs_rehearse.command),
    ("pause", jobs_acts.pause),
    ("resume", jobs_acts.resume),
    ("retire", jobs_acts.retire),
    ("skip", jobs_acts.skip),
    ("backfill", jobs_acts.backfill),
    ("versions", jobs_history.versions),
    ("diff", jobs_history.diff),
):
    app.command(name)(command)
