"""A job's schedule as the tables have it."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import ValidationError, convert

from ledger.client.names import check_name
from ledger.client.tables import Tables
from ledger.core.definition import KeptSchedule, ScheduleSpec
from ledger.core.refusal import Refused
from projections.rows import JobDefinition


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """`spec` is of the version in force, or of the one that was asked for."""

    definition: JobDefinition
    job_version: int
    spec: ScheduleSpec


async def stored_schedule(tables: Tables, job_id: str, job_version: int | None = None) -> StoredSchedule:
    """Raises `Refused`: no such job or version, or one without a schedule."""
    reads = await tables.reads()
    definition = await reads.definition(check_name(job_id, "job_id"))
    if definition is None:
        raise Refused("unknown_job", f"there is no job {job_id}, or the tables do not have it yet: `jobledger jobs list` shows them")
    number = job_version or definition.current_version
    version = None if number is None else await reads.version(job_id, number)
    if number is None or version is None:
        raise Refused("unknown_version", f"{job_id} has no version {number or 'in force'}: `jobledger jobs versions {job_id}` shows them")
    if version.schedule is None:
        raise Refused("no_schedule", f"{job_id} version {number} has no schedule: `jobledger run {job_id}` runs it now")
    return StoredSchedule(definition, number, spec_of_row(version.schedule))


def spec_of_row(document: Mapping[str, object]) -> ScheduleSpec:
    try:
        return convert(dict(document), KeptSchedule)
    except ValidationError as error:
        raise Refused("unreadable", f"this release cannot read the schedule: {error}; upgrade it") from error
