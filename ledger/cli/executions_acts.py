"""`jobledger executions cancel|retry`: one, or all that the filters name."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from ledger.cli.acting import check_done, row_of_many
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
from ledger.cli.output import Form, OutputOption, show_one, talk
from ledger.cli.progress import records_read
from ledger.cli.resuming import ResumeOption, check_begun, check_kind, way_on
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.timing import Reason
from ledger.cli.waiting import DECISION
from ledger.client.bulk_frame import BulkDone
from ledger.client.bulk_run import Told
from ledger.client.ledger import Ledger
from ledger.core.bulk import OnExecutions
from ledger.core.refusal import Refused
from projections.rows import ExecutionFilter

WORDS: Final[dict[OnExecutions, str]] = {"cancel": "cancelled", "retry": "retried"}
HELP: Final[dict[OnExecutions, str]] = {
    "cancel": "Cancel an execution, or with --where all that the filters name. What waits ends at once, what runs is asked to stop first.",
    "retry": "Run again an execution that has ended, or with --where all that the filters name and that failed, timed out or were lost.",
}


def add_acts(app: typer.Typer) -> None:
    """`cancel` and `retry`."""
    for kind in WORDS:
        app.command(kind, help=HELP[kind])(_command_of(kind))


def _command_of(kind: OnExecutions) -> Callable[..., None]:
    def command(
        context: typer.Context,
        execution_id: Annotated[str | None, typer.Argument(show_default=False)] = None,
        where: Annotated[bool, typer.Option("--where", help="All that these filters name:")] = False,
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
        resume: ResumeOption = None,
        plan: Annotated[bool, typer.Option("--plan", help="Count them, and do nothing.")] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        reason: Reason = None,
        output: OutputOption = Form.table,
    ) -> None:
        wanted = filter_of(job, job_name, state, tenant, version, worker, label, data, backfill, from_, to)
        _check(execution_id, where, wanted, resume, plan)
        check_begun(resume, reason)
        session = session_of(context)
        if execution_id is not None:
            wait_for(_one(session, kind, execution_id, reason, output))
        elif resume is not None:
            wait_for(_resumed(session, kind, resume, output))
        else:
            _select(session, kind, wanted, reason, plan, yes, output)

    return command


def _check(execution_id: str | None, where: bool, wanted: ExecutionFilter, resume: str | None, plan: bool) -> None:
    if sum((execution_id is not None, where, resume is not None)) != 1:
        raise typer.BadParameter("name one execution, or say --where and which, or --resume", param_hint="EXECUTION_ID")
    if plan and not where:
        raise typer.BadParameter("it counts what filters name, and goes with --where; nothing was done", param_hint="--plan")
    if not where and wanted != ExecutionFilter():
        raise typer.BadParameter("filters go with --where", param_hint="--where")


async def _one(session: Session, kind: OnExecutions, execution_id: str, reason: str | None, form: Form) -> None:
    async with session.ledger() as ledger:
        if kind == "retry":
            again = await ledger.retry(execution_id, reason=reason, timeout=DECISION)
            outcome, shown, command_id = "unchanged" if again.was_known else "applied", str(again.execution_id), again.command_id
        else:
            done = await ledger.cancel(execution_id, reason=reason, timeout=DECISION)
            outcome, shown, command_id = done.outcome, execution_id, done.command_id
    row = {"outcome": outcome, "execution_id": shown, "retry_of": execution_id if kind == "retry" else None, "command_id": command_id}
    show_one(row, form)
    if outcome == "unchanged":
        talk("nothing had to be done: " + (f"{shown} retries it" if kind == "retry" else "it has ended, or was asked to stop before"))


def _select(session: Session, kind: OnExecutions, wanted: ExecutionFilter, reason: str | None, plan: bool, yes: bool, form: Form) -> None:
    """Whoever is asked is asked outside of the event loop, which would keep the first Ctrl-C to itself."""
    if plan or not yes:
        done = wait_for(_planned(session, kind, wanted))
        if plan or not done.planned:
            _show(kind, done, form)
            return
        _confirm(kind, done)
        wanted = done.where or wanted  # and not what was asked for while somebody read the number
    _show(kind, wait_for(_done(session, kind, wanted, reason)), form)


async def _planned(session: Session, kind: OnExecutions, wanted: ExecutionFilter) -> BulkDone:
    async with session.ledger() as ledger:
        return await _many_of(ledger, kind)(wanted, plan=True)


async def _done(session: Session, kind: OnExecutions, wanted: ExecutionFilter, reason: str | None) -> BulkDone:
    async with session.ledger() as ledger:
        many = _many_of(ledger, kind)
        return await _watched(kind, lambda told: many(wanted, reason=reason, yes=True, told=told, timeout=DECISION))


def _many_of(ledger: Ledger, kind: OnExecutions) -> Callable[..., Awaitable[BulkDone]]:
    return ledger.cancel_many if kind == "cancel" else ledger.retry_many


async def _resumed(session: Session, kind: OnExecutions, bulk_id: str, form: Form) -> None:
    async with session.ledger() as ledger:
        await check_kind(ledger, kind, bulk_id)
        done = await _watched(kind, lambda told: ledger.resume_bulk(bulk_id, told=told, timeout=DECISION))
    _show(kind, done, form)


def _confirm(kind: OnExecutions, planned: BulkDone) -> None:
    """Raises `Refused` where nobody can be asked."""
    said = f"{planned.planned} executions ({_counted(planned)}) would be {WORDS[kind]}"
    if not sys.stdin.isatty():
        raise Refused("not_confirmed", f"{said}: `--plan` shows that and does nothing, `--yes` does it")
    try:
        is_wanted = typer.confirm(f"{said}. Go on?", err=True)
    except typer.Abort:  # of Ctrl-C, and of what ends without an answer
        raise KeyboardInterrupt from None
    if not is_wanted:
        raise typer.Abort


async def _watched(kind: OnExecutions, act: Callable[[Told], Awaitable[BulkDone]]) -> BulkDone:
    """Says what the act is called, which one needs to go on with it, and how far it is."""
    with records_read(f"executions {WORDS[kind]}") as progress:

        def tell(bulk_id: str, decided: int, planned: int) -> None:
            if not decided:
                talk(f"bulk act {bulk_id}; should it break off: {way_on(kind, bulk_id)}")
            progress(decided, planned)

        return await act(tell)


def _show(kind: OnExecutions, done: BulkDone, form: Form) -> None:
    """Raises `Refused` if some were."""
    row = row_of_many(done)
    if form is Form.table:
        planned_only = ("done", "refused") if done.bulk_id is None else ()
        row = {name: value for name, value in row.items() if value not in ({}, None) and name not in planned_only}
    show_one(row, form)
    if done.bulk_id is None:
        talk(f"{done.planned} executions would be {WORDS[kind]}; nothing was done")
    check_done(done)


def _counted(planned: BulkDone) -> str:
    return ", ".join(f"{count} {state}" for state, count in planned.states.items())
