"""`jobledger jobs pause|resume|retire|skip|backfill`: acts on one job, each with its actor and reason in its event."""

from typing import Annotated

import typer

from ledger.cli.acting import act
from ledger.cli.inputs import instant_of
from ledger.cli.output import Form, OutputOption, row_of, show_one, talk
from ledger.cli.pausing import PAUSED, Note
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.timing import Reason
from ledger.cli.waiting import DECISION
from ledger.client.home_acts import Backfill

JobId = Annotated[str, typer.Argument(metavar="JOB", show_default=False)]


def pause(context: typer.Context, job_id: JobId, note: Note = None, reason: Reason = None, output: OutputOption = Form.table) -> None:
    """Hold a job: its ticks are skipped, what is submitted waits."""
    wait_for(
        act(
            session_of(context),
            output,
            lambda ledger: ledger.pause(job=job_id, note=note, reason=reason, timeout=DECISION),
            unchanged=PAUSED,
        )
    )


def resume(context: typer.Context, job_id: JobId, reason: Reason = None, output: OutputOption = Form.table) -> None:
    """Let a job go on, also one that paused itself after failures."""
    wait_for(act(session_of(context), output, lambda ledger: ledger.resume(job=job_id, reason=reason, timeout=DECISION)))


def retire(context: typer.Context, job_id: JobId, reason: Reason = None, output: OutputOption = Form.table) -> None:
    """Unschedule a user's job and keep its history. What was requested of it runs."""
    wait_for(
        act(
            session_of(context),
            output,
            lambda ledger: ledger.retire(job_id, reason=reason, timeout=DECISION),
            unchanged="it is retired",
        )
    )


def skip(
    context: typer.Context,
    job_id: JobId,
    tick_at: Annotated[str, typer.Argument(metavar="TIME", help="The tick, as `jobs preview` shows it.", show_default=False)],
    reason: Reason = None,
    output: OutputOption = Form.table,
) -> None:
    """Leave out one tick that is still to come."""
    instant = instant_of(tick_at, "TIME")
    assert instant is not None
    wait_for(
        act(
            session_of(context),
            output,
            lambda ledger: ledger.skip(job_id, instant, reason=reason, timeout=DECISION),
            unchanged="this tick is left out",
        )
    )


def backfill(
    context: typer.Context,
    job_id: JobId,
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="The ticks after this instant ...", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="... up to and including this one.", show_default=False)],
    only_unfired: Annotated[bool, typer.Option("--only-unfired", help="Leave out the ticks that fired.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Count the ticks, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="More than 10 000, too.")] = False,
    backfill_id: Annotated[
        str | None, typer.Option("--id", help="Its name; the same again does nothing. Else it follows from the range.")
    ] = None,
    reason: Reason = None,
    output: OutputOption = Form.table,
) -> None:
    """Run a job once for each tick of a range in the past, under its version in force."""
    after, until = instant_of(from_, "--from"), instant_of(to, "--to")
    assert after is not None
    assert until is not None

    async def work(session: Session) -> Backfill:
        async with session.ledger() as ledger:
            return await ledger.backfill(
                job_id,
                from_=after,
                to=until,
                only_unfired=only_unfired,
                plan=plan,
                yes=yes,
                backfill_id=backfill_id,
                reason=reason,
                timeout=DECISION,
            )

    found = wait_for(work(session_of(context)))
    show_one(row_of(found), output)
    if plan:
        most = "at most " if only_unfired else ""
        talk(f"{most}{found.planned} executions of {job_id} version {found.job_version} would be asked for; nothing was done")
    elif found.outcome == "unchanged":
        talk("nothing had to be done: this backfill was asked for before; `--id NAME` makes it another one")
