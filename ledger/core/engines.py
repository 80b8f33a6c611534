"""The engines of schedules, one for each text: many jobs have the same, and compiling one costs as much as ten ticks."""

from typing import Final

from ledger.core.definition import Job, Registry, ScheduleSpec, Version
from ledger.core.refusal import Refused
from ledger.core.schedule import Schedule

KEPT: Final = 20_000  # about 700 bytes each; what is needed again is compiled again, in 20 microseconds


class Engines:
    def __init__(self) -> None:
        self._known: dict[ScheduleSpec, Schedule | None] = {}

    @property
    def any_compiled(self) -> bool:
        return bool(self._known)

    def of(self, spec: ScheduleSpec) -> Schedule | None:
        """None where this engine cannot read it: another release took it, and its ticks wait for one that does."""
        if spec in self._known:
            return self._known[spec]
        try:
            engine = Schedule.from_spec(spec)
        except Refused:
            engine = None
        if len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        self._known[spec] = engine
        return engine


def version_of(registry: Registry, job_id: str, number: int) -> tuple[Job, Version] | None:
    """A job and this version of it, or None where the registry has none."""
    job = registry.jobs.get(job_id)
    version = job.versions.get(number) if job is not None else None
    return (job, version) if job is not None and version is not None else None
