"""`jobledger jobs rehearse`: which firings would move?"""

from enum import StrEnum
from typing import Annotated

import typer

from ledger.cli.errors import DIFFERENCES
from ledger.cli.output import Form, OutputOption, row_of, show_rows, talk
from ledger.cli.rehearsing.moved import FIRINGS
from ledger.cli.rehearsing.rehearsal import Finding, with_croniter, with_zone_data
from ledger.cli.rehearsing.stored import Rehearsed, declared_schedules, stored_schedules
from ledger.cli.session import Session, be_quiet, session_of, wait_for
from ledger.cli.timing import Cron, Dst, Timezone, now
from ledger.client.previewing import instant_in
from ledger.client.scheduling import Scheduling, schedule_of

FOUND = ("job_id", "job_version", "compared_with", "only_here", "only_there", "first_here", "first_there", "note")


class Against(StrEnum):
    croniter = "croniter"


def command(
    context: typer.Context,
    job_ids: Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Only these; else all that are in force.")] = None,
    against: Annotated[Against | None, typer.Option(help="Compare with another engine instead of other zone data.")] = None,
    tzdata: Annotated[
        str | None,
        typer.Option(metavar="RELEASE|FILE", help="Compare with these (2026a, a wheel, a folder); else with those that accepted each."),
    ] = None,
    declared: Annotated[bool, typer.Option("--declared", help="The system jobs of the configuration; needs no server.")] = False,
    cron: Cron = None,
    timezone: Timezone = None,
    dst: Dst = "vixie",
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="The firings after this instant; now by default.")] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 7 if a firing would move.")] = False,
    output: OutputOption = Form.table,
) -> None:
    """List the schedules whose next 1000 firings differ between the zone data and the engine that accepted them and those that are here.

    Run it before an upgrade (--tzdata RELEASE), after one (with nothing), or when you come from croniter (--against croniter).
    """
    if sum((bool(job_ids), declared, bool(cron))) > 1:
        raise typer.BadParameter("give stored jobs, --declared or --cron: one of them", param_hint="JOB")
    if cron and against is None and tzdata is None:
        raise typer.BadParameter("say what to compare it with: --against croniter or --tzdata RELEASE", param_hint="--cron")
    session = session_of(context)
    if cron:
        schedules = [Rehearsed(text, schedule_of(Scheduling(job="rehearse", cron=text, timezone=timezone, dst=dst))[0]) for text in cron]
    else:
        schedules = _of(session, job_ids or [], declared)
    after = instant_in("from", from_ or now(), timezone or "UTC")
    found = with_zone_data(schedules, after, tzdata, talk) if against is None else with_croniter(schedules, after, talk)
    _show(list(found), len(schedules), output, exit_code)


def _of(session: Session, job_ids: list[str], declared: bool) -> list[Rehearsed]:
    be_quiet()
    settings = session.load()
    return declared_schedules(settings) if declared else wait_for(stored_schedules(settings, job_ids))


def _show(found: list[Finding], looked_at: int, form: Form, exit_code: bool) -> None:
    if found or form is not Form.table:
        show_rows([row_of(one) for one in found], FOUND, form)
    talk(f"{len(found)} of {looked_at} schedules differ in their next {FIRINGS} firings")
    if found and exit_code:
        raise typer.Exit(DIFFERENCES)
