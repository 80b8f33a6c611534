"""`jobledger jobs preview`: when would it fire? A read; without a job it needs no server."""

from dataclasses import replace
from typing import Annotated

import typer

from ledger.cli.output import Form, OutputOption, row_of, show_rows, talk
from ledger.cli.session import Session, session_of, wait_for
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
    Start,
    Timezone,
    now,
)
from ledger.client.previewing import MOST_SHOWN, Preview, instant_in, preview
from ledger.client.scheduling import Scheduling, schedule_of
from ledger.core.ids import Micros
from ledger.core.policies import check_schedule
from ledger.core.schedule import Schedule


def command(
    context: typer.Context,
    job_id: Annotated[str | None, typer.Argument(metavar="JOB", help="A stored job; else give a schedule.", show_default=False)] = None,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    offset: Offset = None,
    timezone: Timezone = None,
    dst: Dst = "vixie",
    start: Start = None,
    end: End = None,
    exclude: Exclude = None,
    jitter: Jitter = None,
    overlap: OverlapOption = None,
    catchup_window: CatchupWindow = None,
    coalesce: CoalesceOption = None,
    limit: Limit = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="After this instant, now by default; in the schedule's zone if it has no offset."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to and including this instant.")] = None,
    count: Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="At most so many.")] = 10,
    version: Annotated[int | None, typer.Option("--job-version", min=1, help="Of a stored job; else the version in force.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """The next ticks of a job, or of a schedule that is only thought of, and what is probably not meant about it."""
    plan = Scheduling(
        job="preview",
        cron=cron or None,
        every=every,
        at=at,
        offset=offset,
        timezone=timezone,
        dst=dst,
        start=start,
        end=end,
        exclude=exclude or [],
        jitter=jitter,
        overlap=overlap,
        catchup_window=catchup_window,
        coalesce=coalesce,
        limit=limit,
    )
    if job_id is None:
        show(_thought_of(plan, from_, to, count), output)
        return
    if plan != Scheduling(job="preview", exclude=[]):
        raise typer.BadParameter("a stored job has its schedule: give one or the other", param_hint="JOB")
    stored: str = job_id

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            found = await ledger.preview(stored, from_=from_, to=to, count=count, version=version)
        show(found, output)

    wait_for(work(session_of(context)))


def _thought_of(plan: Scheduling, from_: str | None, to: str | None, count: int) -> Preview:
    spec, warnings = schedule_of(plan)
    after = instant_in("from", from_ or now(), spec.timezone)
    if spec.at is None:
        check_schedule(Schedule.from_spec(spec), Micros(after))
    until = None if to is None else instant_in("to", to, spec.timezone)
    found = preview(spec, after, min(count, spec.limit or count), until=until)
    return replace(found, warnings=tuple(dict.fromkeys((*warnings, *found.warnings))))


def show(found: Preview, form: Form) -> None:
    """The ticks as data, the warnings as talk."""
    rows = [{**row_of(one), "local": one.local.isoformat()} for one in found.ticks]
    with_jitter = any(one.due_at != one.tick_at for one in found.ticks)
    show_rows(rows, ("tick_at", "local", "due_at") if with_jitter else ("tick_at", "local"), form)
    for warning in found.warnings:
        talk(f"warning: {warning}")
    if not found.ticks:
        talk("it does not fire in that time")
