"""`jobledger projections rebuild|swap|drop`: tables built beside the ones in use, and the moment they change places."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from ledger.cli.errors import DIFFERENCES
from ledger.cli.output import Form, OutputOption, say, show_one, talk
from ledger.cli.projections_talk import folding, told
from ledger.cli.session import quiet_settings
from ledger.config import Settings
from projections.connecting import connected
from projections.known import named
from projections.projection import Projection
from projections.rebuild import Differs, Progress, Wanted, check_version
from projections.rebuild import rebuild as rebuilding
from projections.swapping import Swap

Name = Annotated[str, typer.Argument(metavar="[NAME]", help="The projection.")]
KeepOld = Annotated[bool, typer.Option("--keep-old", help="Keep the tables that were in use: `swap --back` takes them back.")]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Do not compare the new tables with the log before they are used.")]


def add_commands(app: typer.Typer) -> None:
    for command in (rebuild, swap, drop):
        app.command()(command)


def rebuild(
    name: Name = "tables",
    version: Annotated[int | None, typer.Option("--version", help="Refuse to build another version than this.")] = None,
    keep_old: KeepOld = False,
    no_verify: NoVerify = False,
    no_swap: Annotated[bool, typer.Option("--no-swap", help="Leave the new tables beside the ones in use, for `swap`.")] = False,
    output: OutputOption = Form.table,
) -> None:
    """Fold the log again from its first commit into new tables. Those in use stay, and are kept up to date, until the new ones have caught
    up, were compared with the log, and take their place in one transaction. Interrupted, it goes on where it was."""
    settings = quiet_settings()
    projection = named(settings, name)
    check_version(projection, version)
    _build(settings, projection, Wanted(check=not no_verify, swap=not no_swap, keep=keep_old), output)


def swap(
    name: Name = "tables",
    back: Annotated[bool, typer.Option("--back", help="To the tables that were kept; those in use now are kept in their stead.")] = False,
    keep_old: KeepOld = False,
    no_verify: NoVerify = False,
    output: OutputOption = Form.table,
) -> None:
    """Finish a rebuild that was interrupted or left with --no-swap; or go back to the tables before it."""
    if back and (keep_old or no_verify):
        raise typer.BadParameter("it keeps what is in use and verifies nothing: leave out --keep-old and --no-verify", param_hint="--back")
    settings = quiet_settings()
    projection = named(settings, name)
    if not back:
        _build(settings, projection, Wanted(begin=False, check=not no_verify, keep=keep_old), output)
        return
    with connected(settings) as connection:
        claimed = Swap(connection, settings.database.table_schema, projection)
        claimed.claim()
        claimed.take_back()
    say("the tables that were kept are in use again; `jobledger projections run` brings them up to date")


def drop(name: Name = "tables") -> None:
    """Remove what stands beside the tables in use: what was built and not swapped, what was kept."""
    settings = quiet_settings()
    with connected(settings) as connection:
        claimed = Swap(connection, settings.database.table_schema, named(settings, name))
        claimed.claim()
        dropped = claimed.drop()
    for table in dropped:
        say(table)
    talk(f"{len(dropped)} tables dropped" if dropped else "nothing stood beside the tables in use")


def _build(settings: Settings, projection: Projection, wanted: Wanted, output: Form) -> None:
    try:
        done = folding(_rebuild(settings, projection, wanted))
    except Differs as error:
        talk(f"error: {error}")
        raise typer.Exit(DIFFERENCES) from error
    rate = done.events / done.seconds
    if output is not Form.table:
        show_one({**asdict(done), "events_per_second": rate}, output)
        return
    now = "the new tables are in use" if wanted.swap else f"the new tables stand beside: `jobledger projections swap {projection.name}`"
    say(f"{done.events} events of {done.records} commits in {done.seconds:.1f} s, {rate:.0f} events/s; {now}")


async def _rebuild(settings: Settings, projection: Projection, wanted: Wanted) -> Progress:
    phases = set[str]()
    try:
        with told() as tell:

            def report(progress: Progress) -> None:
                if progress.phase not in phases:
                    phases.add(progress.phase)
                    first = progress.resumed and len(phases) == 1
                    talk(f"{progress.phase}, going on at record {progress.records}" if first else progress.phase)
                tell(progress.phase, progress.records, progress.of, progress.events, progress.left)

            return await rebuilding(settings, report, projection=projection, wanted=wanted)
    except (KeyboardInterrupt, asyncio.CancelledError):
        talk("interrupted: the same command goes on where it was; `jobledger projections drop` removes what was built")
        raise
