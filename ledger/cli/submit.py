"""`jobledger submit`: run a job once, or many of a file."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Annotated, Final

import typer
from msgspec import Raw

from ledger.cli.errors import INTERRUPTED
from ledger.cli.inputs import check_alone, duration_of, json_of, objects_of, opened, pairs_of, seconds_of
from ledger.cli.output import Form, OutputOption, say, show_one, show_rows, talk
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.waiting import decided, wait_for_end
from ledger.core.refusal import Unavailable
from ledger.core.uniqueness import OnConflict
from ledger.submitting.submission import Submission, Wish

CHUNK: Final = 5000  # lines of a file that are under way together


def command(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(help="The job; with --many the file says it.", show_default=False)] = None,
    data: Annotated[str | None, typer.Option(metavar="JSON|@FILE|-", help="Its data.")] = None,
    tenant: Annotated[str | None, typer.Option(help="For whom it runs.")] = None,
    exclusive_key: Annotated[str | None, typer.Option(help="What it excludes, for a job exclusive by key.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="A repeat with this key is answered with the first one's execution.")] = None,
    delay: Annotated[str | None, typer.Option(metavar="DURATION", help="Not before this time has passed.")] = None,
    run_at: Annotated[str | None, typer.Option(metavar="TIME", help="Not before this instant, as 2026-10-25T09:00:00Z.")] = None,
    start_deadline: Annotated[str | None, typer.Option(metavar="DURATION", help="Missed if it has not started by then.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 first, 5 by default.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="To find it again; may be given many times.")] = None,
    timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="The time of one attempt.")] = None,
    attempts: Annotated[int | None, typer.Option(min=1, max=1000, help="Including the first.")] = None,
    unique: Annotated[
        str | None, typer.Option(metavar="FIELDS", help="Not beside another one with these fields of the data, as a,b.c; `*`: all of it.")
    ] = None,
    unique_states: Annotated[
        str | None, typer.Option(metavar="STATES", help="... in one of these states; by default delayed,waiting,active.")
    ] = None,
    on_conflict: Annotated[
        OnConflict | None, typer.Option(help="... which it is answered with, by default, or replaced or refused.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None,
    many: Annotated[str | None, typer.Option(metavar="FILE.jsonl|-", help="One submit a line: `job`, `data` and the names above.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress and print its result. Exit 6 if it does not complete.")] = False,
    wait_timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="Wait, but no longer; exit 124. It goes on.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """Run a job once. Prints the id of its execution; with --wait its result."""
    session = session_of(context)
    if many is not None:
        check_alone(context, "many", "output")
        wait_for(_submit_many(session, many, output))
        return
    if job is None:
        raise typer.BadParameter("which one? `jobledger jobs list` shows what there is", param_hint="JOB")
    wish = Submission(
        job,
        Raw(b"null") if data is None else json_of(data),
        tenant,
        exclusive_key,
        idempotency_key,
        duration_of(delay, "--delay"),
        run_at,
        duration_of(start_deadline, "--start-deadline"),
        priority,
        pairs_of(label, "--label") if label else None,
        options_of(duration_of(timeout, "--timeout"), attempts),
        reason=reason,
        unique=unique_of(unique, unique_states, on_conflict),
    )
    seconds = seconds_of(wait_timeout, "--wait-timeout")
    wait_for(_submit(session, wish, wait or seconds is not None, seconds, output))


def unique_of(fields: str | None, states: str | None, on_conflict: OnConflict | None) -> dict[str, object] | None:
    if fields is None:
        if states is not None or on_conflict is not None:
            raise typer.BadParameter("say by which fields of the data, or '*'", param_hint="--unique")
        return None
    given: dict[str, object] = {"by": _listed(fields)}
    if states is not None:
        given["states"] = _listed(states)
    if on_conflict is not None:
        given["on_conflict"] = on_conflict
    return given


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]


def options_of(timeout: str | None, attempts: int | None) -> dict[str, object] | None:
    given: dict[str, object] = {"timeout": timeout, "attempts": attempts}
    return {name: value for name, value in given.items() if value is not None} or None


async def _submit(session: Session, wish: Submission, wait: bool, seconds: float | None, form: Form) -> None:
    async with session.ledger() as ledger:
        since = asyncio.get_running_loop().time()
        handle = await decided(lambda timeout: ledger.submit_one(wish, follow=wait, timeout=timeout), seconds)
        if handle.was_known:
            talk("the same was asked for before; this is its execution")
        if wait:
            await wait_for_end(handle, form, seconds, since)
        elif form is Form.table:
            say(handle.execution_id)
        else:
            show_one({"execution_id": handle.execution_id, "command_id": handle.command_id, "was_known": handle.was_known}, form)


async def _submit_many(session: Session, name: str, form: Form) -> None:
    count = 0
    with ExitStack() as stack:
        lines: Iterator[Wish] = objects_of(opened(name, "--many", stack), "the lines before it may be submitted")
        async with session.ledger() as ledger:
            while chunk := await _next(lines):
                try:
                    ids = await ledger.submit_many(chunk, first=count + 1)
                except (Unavailable, asyncio.CancelledError):
                    talk(f"items {count + 1} to {count + len(chunk)}: some of them may be submitted, too")
                    raise
                count += len(ids)
                if form in (Form.table, Form.jsonl):
                    _show(ids, form)
                talk(f"{count} submitted")
    if form in (Form.json, Form.yaml):
        show_one({"submitted": count}, form)


async def _next(lines: Iterator[Wish]) -> Sequence[Wish]:
    """The lines that are submitted next. Those before are acknowledged, so nothing is lost where somebody interrupts this: who types them,
    or whoever writes into the pipe, is waited for by a thread, which would be waited for at the end."""
    try:
        return await asyncio.to_thread(lambda: list(islice(lines, CHUNK)))
    except asyncio.CancelledError:
        os._exit(INTERRUPTED)


def _show(ids: Sequence[str | None], form: Form) -> None:
    if form is Form.jsonl:
        show_rows([{"execution_id": one} for one in ids], ["execution_id"], form)
    else:
        for one in ids:
            say(one or "(named when it is decided)")
