"""`jobledger topics apply`: create and check the topics, and open the log in them."""

import asyncio
import os
import sys
from enum import StrEnum
from typing import Annotated

import typer
from msgspec import json
from rich.console import Console
from rich.table import Column, Table

from ledger.config import Settings
from ledger.config.loading import load_settings
from ledger.core.refusal import Misconfigured
from ledger.kafka import topics
from ledger.kafka.opening import LogIdentity, check_identity, open_log
from ledger.kafka.topics import Plan

CONFLICT = 4

app = typer.Typer(help="The topics that hold the log.", no_args_is_help=True)


class Form(StrEnum):
    table = "table"
    json = "json"


@app.callback()
def _group() -> None:
    """A group of one command still takes its name."""


@app.command()
def apply(
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and do nothing.")] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.table,
) -> None:
    """Create the topics that are missing, compare the others, and open the log. Any difference: exit 4, and nothing is done."""
    settings = load_settings(None, os.environ)
    found, identity = asyncio.run(_plan(settings) if plan else _apply(settings))
    _print(found, identity, planned=plan, form=output)
    if found.differences:
        try:
            found.refuse_differences()
        except Misconfigured as error:
            print(error, file=sys.stderr)  # noqa: T201  # talk to stderr
        raise typer.Exit(CONFLICT)


async def _plan(settings: Settings) -> tuple[Plan, LogIdentity | None]:
    found = await topics.plan(settings)
    logs = {settings.topic("events"), settings.topic("registry")}
    if found.differences or logs & {spec.name for spec in found.missing}:
        return found, None
    try:
        return found, await check_identity(settings)
    except Misconfigured:
        return found, None  # not open yet: that is what would be done


async def _apply(settings: Settings) -> tuple[Plan, LogIdentity | None]:
    found = await topics.plan(settings)
    if found.differences:
        return found, None
    found = await topics.apply(settings)
    return found, await open_log(settings)


def _print(found: Plan, identity: LogIdentity | None, *, planned: bool, form: Form) -> None:
    missing = {spec.name for spec in found.missing}
    differing = {one.topic for one in found.differences}
    states = {
        spec.name: "differs"
        if spec.name in differing
        else ("missing" if planned or differing else "created")
        if spec.name in missing
        else "good"
        for spec in found.specs
    }
    if form is Form.json:
        document = {
            "topics": [
                {
                    "topic": spec.name,
                    "state": states[spec.name],
                    "partitions": spec.partitions,
                    "replication": spec.replication,
                    "config": spec.config,
                }
                for spec in found.specs
            ],
            "differences": found.differences,
            "log": identity,
        }
        sys.stdout.write(json.format(json.encode(document)).decode() + "\n")
        return
    table = Table(Column("topic", no_wrap=True), "state", "partitions", "replication", "policy", "kept")
    for spec in found.specs:
        table.add_row(
            spec.name,
            states[spec.name],
            str(spec.partitions),
            str(spec.replication),
            spec.config["cleanup.policy"],
            _kept(spec.config.get("retention.ms")),
        )
    console = Console(width=None if sys.stdout.isatty() else 200)  # what is piped is not cut
    console.print(table)
    if identity is not None:
        console.print(f"log {identity.log_id}, {identity.partitions} partitions, epoch {identity.epoch}", highlight=False)
    elif not differing:
        console.print("the log is not open yet", highlight=False)


def _kept(retention_ms: str | None) -> str:
    return "for ever" if retention_ms in (None, "-1") else f"{int(retention_ms or 0) // topics.DAY_MS} d"


if __name__ == "__main__":
    app()
