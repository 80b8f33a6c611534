"""The engines of schedules, one for each text: many jobs have the same, and compiling one costs as much as ten ticks."""

from typing import Final

from ledger.core.definition import Job, Registry, Version
from ledger.core.fold import keep_newest
from ledger.core.refusal import Refused
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec, read_schedule

KEPT: Final = 10_000  # of a process, 900 bytes each; what is needed again is compiled again


class Engines:
    """By the bytes of the schedule, as a version keeps them."""

    def __init__(self) -> None:
        self._known: dict[bytes, Schedule | None] = {}

    @property
    def any_compiled(self) -> bool:
        return bool(self._known)

    def of(self, written: bytes) -> Schedule | None:
        """None where there is no schedule, or where this engine cannot read it: another release took it, and its ticks wait for one
        that does."""
        if written in self._known:
            return self._known[written]
        try:
            return self.checked(written) if written else None
        except Refused:
            self._keep(written, None)
            return None

    def checked(self, written: bytes) -> Schedule:
        """Raises `Refused` for what this engine cannot read."""
        engine = self._known.get(written)
        if engine is None:
            engine = Schedule.from_spec(read_schedule(written))
            self._keep(written, engine)
        return engine

    def spec_of(self, written: bytes) -> ScheduleSpec:
        """The schedule as written, without compiling it."""
        engine = self._known.get(written)
        return read_schedule(written) if engine is None else engine.spec

    def _keep(self, written: bytes, engine: Schedule | None) -> None:
        if len(self._known) >= KEPT:
            keep_newest(self._known, KEPT // 2)
        self._known[written] = engine


def version_of(registry: Registry, job_id: str, number: int) -> tuple[Job, Version] | None:
    """A job and this version of it, or None where the registry has none."""
    job = registry.jobs.get(job_id)
    version = job.version(number) if job is not None else None
    return (job, version) if job is not None and version is not None else None
