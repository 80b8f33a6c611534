"""A job's schedule as the tables have it."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import ValidationError, convert

from ledger.client.names import check_name
from ledger.client.previewing import senseless
from ledger.core.refusal import Refused
from ledger.core.schedule_spec import KeptSchedule, ScheduleSpec
from projections.reads import Reads
from projections.rows import JobDefinition
from projections.schedule_rows import JobStatus


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """`spec` is of the version in force, or of the one that was asked for. `status`: None where its home partition has not taken a schedule
    over yet."""

    definition: JobDefinition
    job_version: int
    spec: ScheduleSpec
    status: JobStatus | None = None

    @property
    def left(self) -> int | None:
        """How many ticks its `limit` leaves; None without one."""
        if self.spec.limit is None:
            return None
        in_force = self.status is not None and self.status.in_force_version == self.job_version
        return max(0, self.spec.limit - (self.status.firings if in_force and self.status is not None else 0))

    @property
    def warnings(self) -> list[str]:
        """Why it does not fire as it stands, and what makes no sense about it."""
        said = senseless(self.spec, self.definition.exclusive_scope)
        by_itself = self.status is not None and self.status.auto_paused_note is not None
        if self.definition.state != "active" and not by_itself:
            said.append(f"{self.definition.job_id} is {self.definition.state}: none of these fires as it stands")
        if self.status is not None and by_itself:
            said.append(f"it paused itself ({self.status.auto_paused_note}): `jobledger jobs resume` lets it go on")
        if self.left == 0:
            said.append(f"its limit of {self.spec.limit} ticks is spent: a new version counts anew")
        return said


async def stored_schedule(reads: Reads, job_id: str, job_version: int | None = None) -> StoredSchedule:
    """Raises `Refused`: no such job or version, or one without a schedule."""
    definition = await reads.definition(check_name(job_id, "job_id"))
    if definition is None:
        raise Refused("unknown_job", f"there is no job {job_id}, or the tables do not have it yet: `jobledger jobs list` shows them")
    number = job_version or definition.current_version
    version = None if number is None else await reads.version(job_id, number)
    if number is None or version is None:
        raise Refused("unknown_version", f"{job_id} has no version {number or 'in force'}: `jobledger jobs versions {job_id}` shows them")
    if version.schedule is None:
        raise Refused("no_schedule", f"{job_id} version {number} has no schedule: `jobledger run {job_id}` runs it now")
    return StoredSchedule(definition, number, spec_of_row(version.schedule), await reads.status(job_id))


def spec_of_row(document: Mapping[str, object]) -> ScheduleSpec:
    try:
        return convert(dict(document), KeptSchedule)
    except ValidationError as error:
        raise Refused("unreadable", f"this release cannot read the schedule: {error}; upgrade it") from error
