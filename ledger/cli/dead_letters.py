"""`jobledger dead-letters list|show|redrive|discard`: bytes that could not be read."""

import sys
from typing import Annotated, Final

import typer

from ledger.cli import acting
from ledger.cli.inputs import json_of
from ledger.cli.output import Form, OutputOption, row_of, show_one, show_rows, talk
from ledger.cli.resuming import ResumeOption, check_begun, check_kind
from ledger.cli.session import Session, session_of, wait_for
from ledger.cli.timing import Reason
from ledger.cli.waiting import DECISION
from ledger.client.letters import DeadLetter
from ledger.core.bodies import NOTHING
from ledger.core.refusal import Refused

app = typer.Typer(help="Bytes that could not be read as commands, kept for 30 days.", no_args_is_help=True)

LIST: Final = ("number", "letter", "at", "reason", "fate", "actor", "size", "bytes")
SHOWN: Final = 4000  # bytes
BEGINNING: Final = 60
Number = Annotated[int, typer.Argument(min=0, show_default=False)]


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where a former page said to go on.")] = None,
    output: OutputOption = Form.table,
) -> None:
    """The newest first, and what became of them."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            page = await ledger.dead_letters.list(cursor=cursor, limit=limit)
        show_rows([_row(one, BEGINNING) for one in page.items], LIST, output)
        if page.next is not None:
            talk(f"there are more: --cursor {page.next}")

    wait_for(work(session_of(context)))


@app.command()
def show(
    context: typer.Context,
    number: Number,
    raw: Annotated[bool, typer.Option("--raw", help="Its bytes as they are, and nothing else.")] = False,
    output: OutputOption = Form.table,
) -> None:
    """Its bytes, where they stood, why they could not be read; who did what with it, and why."""

    async def work(session: Session) -> None:
        async with session.ledger() as ledger:
            found = await ledger.dead_letters.get(number)
            if found is None:
                raise Refused("unknown_letter", f"there is no dead letter {number}, or no more: `jobledger dead-letters list` shows them")
            provenance = await ledger.dead_letters.provenance(found)
        if raw:
            sys.stdout.buffer.write(found.raw)
            return
        why = {} if provenance is None else {"why": provenance.why, "command_ids": list(provenance.command_ids) or None}
        show_one({**_row(found, SHOWN), **why}, output)

    wait_for(work(session_of(context)))


@app.command()
def redrive(
    context: typer.Context,
    numbers: Annotated[list[int] | None, typer.Argument(min=0, show_default=False)] = None,
    corrected: Annotated[
        str | None, typer.Option("--as", metavar="JSON|@FILE|-", help="What it was meant to be: a command, or an array of them.")
    ] = None,
    resume: ResumeOption = None,
    reason: Reason = None,
    output: OutputOption = Form.table,
) -> None:
    """Send them once more to where they came from, as they are or corrected. Each once."""
    numbers = numbers or []
    if bool(numbers) == (resume is not None):
        raise typer.BadParameter("name letters by their numbers, or say --resume", param_hint="NUMBERS")
    if corrected is not None and len(numbers) != 1:
        raise typer.BadParameter("one letter at a time is corrected", param_hint="--as")
    check_begun(resume, reason)
    commands = NOTHING if corrected is None else json_of(corrected, "--as")
    session = session_of(context)
    if resume is not None or len(numbers) > 1:
        wait_for(_redrive_many(session, numbers, resume, reason, output))
        return
    [number] = numbers
    ask = acting.act(
        session,
        output,
        lambda ledger: ledger.redrive(number, commands=commands, reason=reason, timeout=DECISION),
        unchanged=f"it was redriven before: `jobledger dead-letters show {number}`",
    )
    wait_for(ask)


async def _redrive_many(session: Session, numbers: list[int], resume: str | None, reason: str | None, form: Form) -> None:
    async with session.ledger() as ledger:
        if resume is None:
            done = await ledger.redrive_many(numbers, reason=reason, timeout=DECISION)
        else:
            await check_kind(ledger, "redrive", resume)
            done = await ledger.resume_bulk(resume, timeout=DECISION)
    show_one({name: value for name, value in acting.row_of_many(done).items() if value != {}}, form)
    if done.bulk_id is None:
        talk("nothing had to be done: they were redriven before")
    acting.check_done(done)


@app.command()
def discard(context: typer.Context, number: Number, reason: Reason = None, output: OutputOption = Form.table) -> None:
    """Say that nobody wants it any more. Its bytes stay in Kafka until they are old."""
    ask = acting.act(
        session_of(context),
        output,
        lambda ledger: ledger.discard(number, reason=reason, timeout=DECISION),
        unchanged="it was discarded before",
    )
    wait_for(ask)


def _row(letter: DeadLetter, most: int) -> dict[str, object]:
    """Whatever the bytes are, as text: what is none is escaped, and no more than so many are shown."""
    row = row_of(letter)
    del row["raw"], row["is_whole"]
    text = letter.raw[:most].decode(errors="backslashreplace")
    return {**row, "bytes": text + (f"… ({letter.size} bytes)" if letter.size > most else "")}
