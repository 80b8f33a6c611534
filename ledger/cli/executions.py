"""`jobledger executions list|show`: what ran, runs and will run. `cancel` and `retry` are in a module of their own."""

from collections.abc import Sequence
from typing import Annotated

import typer

from ledger.cli.execution_filters import (
    BackfillOption,
    DataOption,
    FromOption,
    JobNameOption,
    JobOption,
    LabelOption,
    StateOption,
    TenantOption,
    ToOption,
    VersionOption,
    WorkerOption,
    filter_of,
)
from ledger.cli.executions_acts import add_acts
from ledger.cli.moments import AsOfOption, moment_in
from ledger.cli.output import Form, OutputOption, row_of, say, show_one, show_rows, talk
from ledger.cli.past_events import COLUMNS, rows_of
from ledger.cli.progress import records_read
from ledger.cli.session import Session, session_of, wait_for
from ledger.client.as_of import ExecutionThen
from ledger.client.ledger import Ledger
from ledger.core.refusal import Refused
from projections.rows import Execution, ExecutionFilter, Page, PastEvent

app = typer.Typer(help="What ran, runs and will run.", no_args_is_help=True)
add_acts(app)

LIST = (
    *("execution_id", "job_id", "job_version", "trigger", "state", "reason", "waiting_reason", "attempt", "progress", "tenant"),
    *("requested_at", "run_ms"),
)
ATTEMPTS = ("attempt", "state", "worker", "started_at", "finished_at", "run_ms", "error_type", "error_message")


@app.command("list")
def list_(
    context: typer.Context,
    job: JobOption = None,
    job_name: JobNameOption = None,
    state: StateOption = None,
    tenant: TenantOption = None,
    version: VersionOption = None,
    worker: WorkerOption = None,
    label: LabelOption = None,
    data: DataOption = None,
    backfill: BackfillOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where a former page said to go on.")] = None,
    as_of: AsOfOption = None,
    output: OutputOption = Form.table,
) -> None:
    """Executions, the newest request first."""
    where = filter_of(job, job_name, state, tenant, version, worker, label, data, backfill, from_, to)

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            page = await _page(ledger, where, as_of, cursor, limit)
        show_rows([row_of(one) for one in page.items], LIST, output)
        if page.next is not None:
            talk(f"there are more: --cursor {page.next}")

    wait_for(work(session_of(context)))


async def _page(ledger: Ledger, where: ExecutionFilter, as_of: str | None, cursor: str | None, limit: int) -> Page[Execution]:
    """Now, by the tables, or at a moment of the past, by the log."""
    if as_of is None:
        return await ledger.executions.find(where, cursor=cursor, limit=limit)
    with records_read() as progress:
        then = await ledger.as_of(moment_in(as_of, "--as-of"), progress=progress)
        return await then.executions(where, cursor=cursor, limit=limit)


@app.command()
def show(
    context: typer.Context,
    execution_id: Annotated[str, typer.Argument(show_default=False)],
    events: Annotated[
        bool, typer.Option("--events", help="Its history, and where its version comes from, read from the logs themselves.")
    ] = False,
    as_of: AsOfOption = None,
    output: OutputOption = Form.table,
) -> None:
    """An execution and its attempts."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            then = await _then(ledger, execution_id, as_of)
            origin, history = map(rows_of, await _past(ledger, then, as_of) if events else ((), ()))
            again = await ledger.executions.retry_of(execution_id) if as_of is None else None
            waits_for = await ledger.waits_for(then.execution) if as_of is None else ()
        attempts = [row_of(one) for one in then.attempts]
        row = row_of(then.execution) | ({} if again is None else {"retried_by": again})
        if waits_for:
            row["waits_for"] = "; ".join(map(str, waits_for)) if output is Form.table else [row_of(one) for one in waits_for]
        if output is not Form.table:
            show_one({**row, "attempts": attempts, **({"origin": origin, "events": history} if events else {})}, output)
            return
        show_one({**row, "address": None}, output)
        for rows, columns in ((attempts, ATTEMPTS), ([*origin, *history], COLUMNS)):
            if rows:
                say()
                show_rows(rows, columns, output)

    wait_for(work(session_of(context)))


async def _past(ledger: Ledger, then: ExecutionThen, as_of: str | None) -> tuple[Sequence[PastEvent], Sequence[PastEvent]]:
    """Where its version comes from, and what happened to it."""
    if as_of is None:
        execution_id = then.execution.execution_id
        return await ledger.executions.origin(execution_id), await ledger.executions.history(execution_id)
    past = await ledger.as_of(moment_in(as_of, "--as-of"))
    return await past.origin(then), await past.execution_history(then)


async def _then(ledger: Ledger, execution_id: str, as_of: str | None) -> ExecutionThen:
    if as_of is not None:
        with records_read() as progress:
            then = await (await ledger.as_of(moment_in(as_of, "--as-of"), progress=progress)).execution(execution_id)
        if then is None:
            raise Refused("unknown_execution", f"nobody had asked for execution {execution_id} as of {as_of}")
        return then
    execution = await ledger.executions.get(execution_id)
    if execution is None:
        raise Refused("unknown_execution", f"the tables have no execution {execution_id}, or do not have it yet")
    return ExecutionThen(execution, tuple(await ledger.executions.attempts(execution_id)))
