"""`jobledger apply`: make the registry say what settings and handlers declare."""

from typing import Annotated

import typer

from ledger.bootstrap import handlers_of
from ledger.cli.config import tell_warnings
from ledger.cli.errors import DIFFERENCES
from ledger.cli.output import Form, OutputOption, show_one, show_rows, talk
from ledger.cli.session import be_quiet, session_of, wait_for
from ledger.cli.waiting import DECISION
from ledger.client.applying import Plan, apply_configuration, plan_configuration
from ledger.client.who import who

COLUMNS = ("job_id", "verdict", "job_version", "details")


def command(
    context: typer.Context,
    app: Annotated[str | None, typer.Option(help="Where the handlers are, `module:attribute`; else the setting `app`.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and do nothing.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="With --plan: exit 7 if something would be done.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back on purpose to a configuration that was superseded.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Register new jobs and versions, put the system jobs in force, retire those that are gone. Repeating it changes nothing."""
    if exit_code and not plan:
        raise typer.BadParameter("it tells what would be done, and goes with --plan; nothing was done", param_hint="--exit-code")
    be_quiet()
    settings = session_of(context).load()
    jobs = handlers_of(settings, app)
    tell_warnings(settings)
    if plan:
        found = wait_for(plan_configuration(settings, jobs, rollback=rollback))
        _show(found, output)
        found.refuse()
        if exit_code and found.changes_something:
            raise typer.Exit(DIFFERENCES)
        return
    found = wait_for(apply_configuration(settings, jobs, rollback=rollback, actor=who(), reason=reason, timeout=DECISION))
    _show(found, output)
    if found.manifest == "stale":
        talk("this configuration was superseded by a newer one, so the system jobs stay as they are; `--rollback` goes back on purpose")
    elif not found.changes_something:
        talk("nothing had to be done")


def _show(plan: Plan, form: Form) -> None:
    rows = [
        {"job_id": one.job_id, "verdict": one.verdict, "job_version": one.job_version, "details": "; ".join(one.details) or None}
        for one in plan.changes
    ]
    if form in (Form.json, Form.yaml):
        show_one({"manifest": plan.manifest, "digest": plan.digest, "changes": rows}, form)
    else:
        show_rows(rows, COLUMNS, form)
