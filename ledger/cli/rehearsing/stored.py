"""The schedules in force, from the registry's log: with what the engine was that accepted each."""

from dataclasses import dataclass

from ledger.client.registry_now import folded
from ledger.config import Settings
from ledger.core.definition import Versioned
from ledger.core.ids import Address, Micros
from ledger.core.refusal import Refused
from ledger.core.registry import RegistryFold
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.wire import Event
from ledger.kafka.opening import check_identity


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A schedule to look at. `engine` and `tzdata`: which accepted it, where the log says so."""

    job_id: str
    spec: ScheduleSpec
    job_version: int | None = None
    engine: int | None = None
    tzdata: str | None = None


class AcceptedBy(RegistryFold):
    """The registry, and which engine and zone data accepted each schedule of it."""

    def __init__(self) -> None:
        super().__init__()
        self.engines: dict[tuple[str, int], tuple[int | None, str | None]] = {}

    def evolve(self, event: Event, address: Address, at: Micros) -> None:
        super().evolve(event, address, at)
        if isinstance(event, Versioned) and event.schedule is not None:
            self.engines[event.job_id, event.job_version] = (event.engine, event.tzdata)


async def stored_schedules(settings: Settings, job_ids: list[str]) -> list[Rehearsed]:
    """Those of these jobs, or of all, that are in force. Raises `Refused` for a job that has none, and what reading the log raises."""
    await check_identity(settings)
    fold = AcceptedBy()
    await folded(settings, fold)
    found = []
    for job in fold.registry.scheduled:
        version = job.current
        if version is not None and version.schedule is not None and (not job_ids or job.job_id in job_ids):
            engine, tzdata = fold.engines.get((job.job_id, version.number), (None, None))
            found.append(Rehearsed(job.job_id, version.schedule, version.number, engine, tzdata))
    missing = set(job_ids) - {one.job_id for one in found}
    if missing:
        raise Refused("unknown_job", f"no schedule of {', '.join(sorted(missing))} is in force: `jobledger jobs list` shows what there is")
    return sorted(found, key=lambda one: one.job_id)


def declared_schedules(settings: Settings) -> list[Rehearsed]:
    """Those of the configuration, whatever is stored."""
    return [Rehearsed(job.name, job.schedule.spec) for job in settings.system_jobs]
