"""`jobledger jobs schedule`: a user's job with a schedule, or many of a file."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Annotated

import typer

from ledger.cli import acting, jobs_preview
from ledger.cli.inputs import check_alone, duration_of, json_of, objects_of, opened
from ledger.cli.output import Form, OutputOption, row_of, show_rows, talk
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.submit import options_of
from ledger.cli.timing import (
    At,
    CatchupWindow,
    CoalesceOption,
    Cron,
    Dst,
    End,
    Every,
    Exclude,
    Jitter,
    Limit,
    Offset,
    OverlapOption,
    PauseOnFailure,
    Reason,
    Start,
    Timezone,
    now,
)
from ledger.cli.waiting import DECISION
from ledger.client.acted import Acted
from ledger.client.previewing import instant_in, preview, senseless
from ledger.client.scheduling import Plan, Scheduling, command_of, id_of, schedule_of
from ledger.core.bodies import NOTHING
from ledger.core.refusal import Refused

MANY = ("job_id", "outcome", "reason", "detail")
SHOWN_TICKS = 5


def command(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="The handler; with --many the file says it.", show_default=False)] = None,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    offset: Offset = None,
    timezone: Timezone = None,
    dst: Dst = "vixie",
    start: Start = None,
    end: End = None,
    exclude: Exclude = None,
    limit: Limit = None,
    jitter: Jitter = None,
    overlap: OverlapOption = None,
    catchup_window: CatchupWindow = None,
    coalesce: CoalesceOption = None,
    pause_on_failure: PauseOnFailure = None,
    name: Annotated[str | None, typer.Option(help="Which one of several of this handler and tenant.")] = None,
    tenant: Annotated[str | None, typer.Option(help="For whom it runs.")] = None,
    data: Annotated[str | None, typer.Option(metavar="JSON|@FILE|-", help="Its data.")] = None,
    exclusive: Annotated[str, typer.Option(metavar="SCOPE", help="One at a time: none, job, tenant or key.")] = "tenant",
    exclusive_key: Annotated[str | None, typer.Option(help="With --exclusive key.")] = None,
    queue: Annotated[str | None, typer.Option(help="Else that of the handler.")] = None,
    timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="The time of one attempt.")] = None,
    attempts: Annotated[int | None, typer.Option(min=1, max=1000, help="Including the first.")] = None,
    version: Annotated[int | None, typer.Option("--job-version", min=1, help="Else it is numbered by its content.")] = None,
    job_id: Annotated[str | None, typer.Option(help="Its id; else it follows from handler, tenant and name.")] = None,
    reason: Reason = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show when it would fire, and do nothing.")] = False,
    many: Annotated[
        str | None, typer.Option(metavar="FILE.jsonl|-", help="One schedule a line: `job` and the names above in snake_case.")
    ] = None,
    output: OutputOption = Form.table,
) -> None:
    """Run a handler on a schedule. Doing it again changes it; doing the same again changes nothing. Prints the job's id."""
    session = session_of(context)
    if many is not None:
        check_alone(context, "many", "reason", "output")
        with ExitStack() as stack:
            plans = list(objects_of(opened(many, "--many", stack), "nothing was sent"))
        wait_for(_many(session, plans, reason, output))
        return
    if job is None:
        raise typer.BadParameter("which handler? `jobledger jobs list` shows what there is", param_hint="JOB")
    wanted = Scheduling(
        job=job,
        name=name,
        cron=cron or None,
        every=every,
        at=at,
        offset=offset,
        timezone=timezone,
        dst=dst,
        start=start,
        end=end,
        exclude=exclude or [],
        limit=limit,
        jitter=jitter,
        overlap=overlap,
        catchup_window=catchup_window,
        coalesce=coalesce,
        pause_on_failure=pause_on_failure,
        tenant=tenant,
        data=NOTHING if data is None else json_of(data),
        exclusive=exclusive,
        exclusive_key=exclusive_key,
        queue=queue,
        version=version,
        options=options_of(duration_of(timeout, "--timeout"), attempts),
        job_id=job_id,
        reason=reason,
    )
    if plan:
        _plan(wanted, output)
        return
    for warning in warnings_of(wanted):
        talk(f"warning: {warning}")
    wait_for(acting.act(session, output, lambda ledger: ledger.schedule_one(wanted, timeout=DECISION), unchanged="this is in force"))


def warnings_of(wanted: Scheduling) -> list[str]:
    spec, warnings = schedule_of(wanted)
    return [*warnings, *senseless(spec, wanted.exclusive)]


def _plan(wanted: Scheduling, form: Form) -> None:
    spec = command_of(wanted).schedule
    found = preview(spec, instant_in("from", now(), spec.timezone), min(SHOWN_TICKS, spec.limit or SHOWN_TICKS), job_id=id_of(wanted))
    jobs_preview.show(found, form)
    talk(f"nothing was done; {id_of(wanted)} would fire so")


async def _many(session: Session, plans: Sequence[Plan], reason: str | None, form: Form) -> None:
    async with session.ledger() as ledger:
        done = await ledger.schedule_many(plans, reason=reason, timeout=DECISION)
    show_rows([row_of(one) for one in done], MANY, form)
    talk(", ".join(_counted(done)))
    refused = [one for one in done if one.outcome == "rejected"]
    if refused:
        first = refused[0]
        raise Refused(first.reason or "rejected", f"{len(refused)} of {len(done)} were refused, the first ({first.job_id}): {first.detail}")


def _counted(done: list[Acted]) -> Iterator[str]:
    for outcome in ("applied", "unchanged", "stale", "rejected"):
        if count := sum(1 for one in done if one.outcome == outcome):
            yield f"{count} {outcome}"
