"""`jobledger whatif --from T --to T [--overlap P] [--cron ...] JOB...`: the recorded past under another policy. A read."""

from dataclasses import asdict
from typing import Annotated, Final

import typer

from ledger.cli.inputs import duration_of
from ledger.cli.moments import moment_in
from ledger.cli.output import Form, OutputOption, Row, say, show_one, show_rows, talk, text_of
from ledger.cli.progress import records_read
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.timing import CatchupWindow, Cron, OverlapOption, Timezone, now
from ledger.client.moments import datetime_of
from ledger.client.whatif import WhatIf
from ledger.client.why_words import long
from ledger.core.whatif import JobWhatIf, RunChange, Side

SHOWN: Final = 20  # changes of a job; the other forms give all
COLUMNS: Final = ("what", "tick_at", "recorded", "replayed", "moved", "execution_id")


def command(
    context: typer.Context,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", show_default=False)],
    from_: Annotated[str, typer.Option("--from", metavar="TIME|EVENT", help="Replay what came after it.", show_default=False)],
    to: Annotated[str | None, typer.Option("--to", metavar="TIME|EVENT", help="Up to and including it, now by default.")] = None,
    overlap: OverlapOption = None,
    cron: Cron = None,
    timezone: Timezone = None,
    catchup: CatchupWindow = None,
    concurrency: Annotated[int | None, typer.Option(min=1, metavar="N", help="So many executions of a job at once.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """What would have become of jobs with a schedule: which runs would be added, removed, moved, which ticks skipped, and how much less or
    longer they would wait. In memory, by the code that decides; nothing is written. Code runs as long as it did, or as is usual."""

    async def work(session: Session) -> None:
        with records_read() as progress:
            async with session.ledger() as ledger:
                found = await ledger.whatif(
                    *jobs,
                    from_=moment_in(from_, "--from"),
                    to=moment_in(to or now(), "--to"),
                    overlap=overlap,
                    cron=cron,
                    timezone=timezone,
                    catchup_window=duration_of(catchup, "--catchup"),
                    concurrency=concurrency,
                    progress=progress,
                )
        _show(found, output)

    wait_for(work(session_of(context)))


def _show(found: WhatIf, form: Form) -> None:
    for warning in found.warnings:
        talk(f"warning: {warning}")
    if form is not Form.table:
        rows = [_document(one) for one in found.jobs]
        if form is Form.jsonl:
            show_rows(rows, (), form)
            return
        policy = {name: value for name, value in asdict(found.policy).items() if value is not None}
        about: Row = {"from": text_of(found.from_), "to": text_of(found.until), "policy": policy, "is_same": found.is_same}
        show_one({**about, "jobs": rows}, form)
        return
    for one in found.jobs:
        _tell(one)


def _document(one: JobWhatIf) -> dict[str, object]:
    changes = [{**asdict(change), "tick_at": _when(change.tick_at)} for change in one.changes]
    return {**asdict(one), "changes": changes}


def _tell(one: JobWhatIf) -> None:
    """For a person: what differs, in figures, then run by run."""
    if one.is_same:
        say(f"{one.job_id}: nothing would have been otherwise: {_ticks(one.recorded)}, {one.recorded.runs} runs")
        return
    say(f"{one.job_id}:")
    say(f"  recorded  {_ticks(one.recorded)}; {one.recorded.runs} runs, {_waiting(one.recorded)}")
    say(f"  replayed  {_ticks(one.replayed)}; {one.replayed.runs} runs, {_waiting(one.replayed)}")
    counts = {what: sum(change.what == what for change in one.changes) for what in ("added", "removed", "moved", "ended_otherwise")}
    say("  runs      " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items() if count))
    if one.waited_us:
        more = "more" if one.waited_us > 0 else "less"
        say(f"  waiting   {long(abs(one.waited_us))} {more} in all, of the runs that start in both")
    show_rows([_row(change) for change in one.changes[:SHOWN]], COLUMNS, Form.table)
    if len(one.changes) > SHOWN:
        talk(f"and {len(one.changes) - SHOWN} more: -o json has all")


def _ticks(side: Side) -> str:
    return ", ".join(f"{count} {said}" for said, count in side.ticks.items()) or "no ticks"


def _waiting(side: Side) -> str:
    if not side.started:
        return "none started"
    return f"{long(side.waited_us // side.started)} waiting on average, {long(side.longest_us)} at most"


def _row(change: RunChange) -> Row:
    by = change.moved_us
    moved = None if by is None else f"{long(abs(by))} {'later' if by > 0 else 'earlier'}"
    return {**asdict(change), "tick_at": _when(change.tick_at), "moved": moved}


def _when(micros: int | None) -> str | None:
    return None if micros is None else text_of(datetime_of(micros))
