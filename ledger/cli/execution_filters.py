"""The filters of executions, as `executions list` takes them, and `cancel` and `retry` with `--where`."""

from typing import Annotated

import typer

from ledger.cli.inputs import instant_of, pairs_of
from projections.rows import ExecutionFilter

JobOption = Annotated[str | None, typer.Option(help="The job's id.")]
JobNameOption = Annotated[str | None, typer.Option("--name", help="The handler's name.")]
StateOption = Annotated[list[str] | None, typer.Option(help="May be given many times.")]
TenantOption = Annotated[str | None, typer.Option()]
VersionOption = Annotated[int | None, typer.Option(min=1)]
WorkerOption = Annotated[str | None, typer.Option()]
LabelOption = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE")]
DataOption = Annotated[list[str] | None, typer.Option(metavar="PATH=VALUE", help="What stands in the data, as account.id=7.")]
BackfillOption = Annotated[str | None, typer.Option(metavar="ID", help="What this backfill asked for.")]
FromOption = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Requested at or after; UTC if it has no offset.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Requested before.")]


def filter_of(
    job: str | None,
    job_name: str | None,
    state: list[str] | None,
    tenant: str | None,
    version: int | None,
    worker: str | None,
    label: list[str] | None,
    data: list[str] | None,
    backfill: str | None,
    from_: str | None,
    to: str | None,
) -> ExecutionFilter:
    """As they were given, in the order of the options."""
    return ExecutionFilter(
        job,
        job_name,
        tuple(state) if state else None,
        tenant,
        version,
        worker,
        backfill,
        pairs_of(label or [], "--label"),
        pairs_of(data or [], "--data"),
        instant_of(from_, "--from"),
        instant_of(to, "--to"),
    )
