"""`jobledger topics apply`: create and check the topics, and open the log in them."""

import asyncio
from typing import Annotated

import typer

from ledger.cli.errors import REFUSED
from ledger.cli.output import Form, OutputOption, Row, show_one, show_rows, talk
from ledger.cli.session import quiet_settings
from ledger.config import Settings
from ledger.core.refusal import Misconfigured
from ledger.kafka import topics
from ledger.kafka.opening import LogIdentity, check_identity, open_log
from ledger.kafka.topic_admin import TopicSpec
from ledger.kafka.topics import Plan

COLUMNS = ("topic", "state", "partitions", "replication", "policy", "kept")

app = typer.Typer(help="The topics that hold the log.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group, though it has one command by now."""


@app.command()
def apply(
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and do nothing.")] = False,
    output: OutputOption = Form.table,
) -> None:
    """Create the topics that are missing, compare the others, and open the log. Any difference: exit 4, and nothing is done."""
    settings = quiet_settings()
    found, identity = asyncio.run(_plan(settings) if plan else _apply(settings))
    _show(found, identity, planned=plan, form=output)
    try:
        found.refuse_differences()
    except Misconfigured as error:
        talk(f"error: {error}")
        raise typer.Exit(REFUSED) from None


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


def _show(found: Plan, identity: LogIdentity | None, *, planned: bool, form: Form) -> None:
    rows = [_row(spec, _state(spec, found, planned)) for spec in found.specs]
    if form in (Form.table, Form.jsonl):
        show_rows(rows, COLUMNS, form)
    else:
        differences = [{"topic": one.topic, "setting": one.setting, "wanted": one.wanted, "found": one.found} for one in found.differences]
        log = identity and {"log_id": identity.log_id, "partitions": identity.partitions, "epoch": identity.epoch}
        show_one({"topics": rows, "differences": differences, "log": log}, form)
    if identity is not None:
        talk(f"log {identity.log_id}, {identity.partitions} partitions, epoch {identity.epoch}")
    elif not found.differences:
        talk("the log is not open yet: `jobledger topics apply` opens it")


def _state(spec: TopicSpec, found: Plan, planned: bool) -> str:
    if any(one.topic == spec.name for one in found.differences):
        return "differs"
    if spec not in found.missing:
        return "good"
    return "missing" if planned or found.differences else "created"


def _row(spec: TopicSpec, state: str) -> Row:
    kept = int(spec.config.get("retention.ms", topics.FOR_EVER))
    return {
        "topic": spec.name,
        "state": state,
        "partitions": spec.partitions,
        "replication": spec.replication,
        "policy": spec.config["cleanup.policy"],
        "kept": "for ever" if kept < 0 else f"{kept // topics.DAY_MS} d",
        "config": dict(spec.config),
    }
