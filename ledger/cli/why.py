"""`jobledger why JOB [--at T | --from T --to T]`, `jobledger why EXECUTION_ID`: what became of each expected tick, and why an execution
waits or ended so. A read."""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from typing import Annotated, Final

import typer

from ledger.cli.errors import DIFFERENCES
from ledger.cli.output import Form, OutputOption, Row, row_of, say, show_one, show_rows, talk, text_of
from ledger.cli.session import Session, session_of, wait_for
from ledger.client.why_job import WhyJob, WhyTick
from ledger.client.why_words import Spent, said
from ledger.core.ids import instant
from projections.paging import micros_of

EXECUTION_ID: Final = re.compile(r"[0-9a-f]{32}-[0-9]{1,6}")


def command(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="JOB|EXECUTION_ID", show_default=False)],
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="One tick, by its nominal time.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From this instant on, a day before its end by default.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to and including this instant, now by default.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Each tick of a job that its schedule expected, with exactly one class: on_time, late, skipped, missed, pending; or unexplained,
    which must not be: exit 7. Times without an offset are read in the schedule's time zone. Of an execution: why it waits or ended so."""
    if at is not None and (from_ is not None or to is not None):
        raise typer.BadParameter("one tick or a range: give --at, or --from and --to", param_hint="--at")
    if EXECUTION_ID.fullmatch(name):
        if (at, from_, to) != (None, None, None):
            raise typer.BadParameter("an execution has no range", param_hint="JOB|EXECUTION_ID")
        wait_for(_execution(session_of(context), name, output))
        return
    unexplained = wait_for(_job(session_of(context), name, at, from_, to, output))
    if unexplained:
        raise typer.Exit(DIFFERENCES)


async def _job(session: Session, job_id: str, at: str | None, from_: str | None, to: str | None, form: Form) -> int:
    async with session.ledger() as ledger:
        found = await ledger.why(job_id, at=at, from_=from_, to=to)
    for warning in found.warnings:
        talk(f"warning: {warning}")
    if form is Form.table:
        for line in lines_of(found, is_one=at is not None):
            say(line)
    elif form is Form.jsonl:
        show_rows([tick_row(one) for one in found.ticks], (), form)
    else:
        after = instant(micros_of(found.after))  # to the microsecond: it is right before the first instant that was asked for
        show_one({**row_of(found), "after": after, "ticks": [tick_row(one) for one in found.ticks]}, form)
    unexplained = found.counts.get("unexplained", 0)
    if unexplained:
        talk(
            f"{unexplained} ticks of {job_id} have no explanation: this must not be, `jobledger projections verify` says if the tables err"
        )
    return unexplained


async def _execution(session: Session, execution_id: str, form: Form) -> None:
    async with session.ledger() as ledger:
        found = await ledger.why_execution(execution_id)
    if form is not Form.table:
        show_one({**row_of(found), "reasons": [row_of(one) for one in found.reasons]}, form)
        return
    say(f"{found.execution_id} of {found.job_id} version {found.job_version}: {found.state}")
    for one in found.reasons:
        say(f"  {one.text}")


def tick_row(one: WhyTick) -> Row:
    row = row_of(one)
    return {**{("class" if name == "class_" else name): value for name, value in row.items()}, "spent": list(map(_spent_row, one.spent))}


def _spent_row(one: Spent) -> Row:
    return row_of(one)


def lines_of(found: WhyJob, *, is_one: bool = False) -> Iterator[str]:
    """The figures, then each class of ticks: those on time in a row are one line."""
    if is_one:
        for tick in found.ticks:
            yield f"{found.job_id} {_when(tick)} (version {tick.job_version or '-'}): {tick.class_}"
            for name, value in (("due", tick.due_at), ("decided", tick.decided_at)):
                if value is not None:
                    yield f"  {name:<8} {said(value)}"
            yield f"  {tick.why}"
        return
    figures = ", ".join(f"{count} {name}" for name, count in found.counts.items()) or "none"
    first = text_of(found.after + timedelta(microseconds=1))
    yield f"{found.job_id}, {first} to {text_of(found.until)}: {found.expected} expected ticks: {figures}"
    for is_quiet, group in groupby(found.ticks, lambda one: one.class_ == "on_time"):
        ticks = list(group)
        if is_quiet and len(ticks) > 1:
            worst = max(one.late_ms or 0 for one in ticks)
            yield f"{said(ticks[0].tick_at)} to {said(ticks[-1].tick_at)}  on_time  {len(ticks)} ticks, started within {worst} ms of due"
            continue
        for tick in ticks:
            yield f"{_when(tick)}  {tick.class_}  {tick.why}"


def _when(tick: WhyTick) -> str:
    if tick.count == 1:
        return said(tick.tick_at)
    return f"{said(tick.tick_at)} to {said(tick.last_tick_at)} ({tick.count} ticks)"
