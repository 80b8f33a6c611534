"""The schedules of a home partition: which are in force there, and when each is due next. No I/O here."""

from heapq import heappop, heappush
from typing import Final

import structlog

from ledger.core import tick
from ledger.core.definition import Job, Registry, ScheduleSpec, Version
from ledger.core.ids import Micros
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft, home_of
from ledger.core.refusal import Refused
from ledger.core.schedule import Schedule
from ledger.core.tzif import tzdata_version

log = structlog.get_logger(__name__)

ENGINE: Final = 1  # of schedules: what a text means; a new number where a firing moves


class Schedules:
    def __init__(self, partition: Partition, registry: Registry) -> None:
        self.partition = partition
        self.registry = registry
        self.noticed: set[str] = set()  # jobs the registry moved, not taken over yet
        self._engines: dict[tuple[str, int], Schedule] = {}
        self._due: list[tuple[Micros, str]] = []
        self._next: dict[str, Micros] = {}

    def begin(self) -> None:
        """A new owner: compare all schedules with the registry once."""
        self.noticed = {job.job_id for job in self.registry.scheduled if self._is_home(job)} | set(self.partition.schedules)
        for job_id in self.partition.schedules:
            self.reckon(job_id)

    def notice(self, touched: set[str]) -> bool:
        """The registry moved these jobs. True if one of them is at home here."""
        here = {job_id for job_id in touched if job_id in self.partition.schedules or self._is_home(self.registry.jobs[job_id])}
        self.noticed |= here
        return bool(here)

    def _is_home(self, job: Job) -> bool:
        return job.kind != "on_demand" and home_of(job, self.partition.partitions) == self.partition.number

    @property
    def are_none(self) -> bool:
        return not self.partition.schedules and not self._next

    def concerns(self, job_id: str) -> bool:
        """An event of this job may move what is due next."""
        return job_id in self.partition.schedules or job_id in self._next

    def next_due(self) -> Micros | None:
        while self._due:
            due, job_id = self._due[0]
            if self._next.get(job_id) == due:
                return due
            heappop(self._due)
        return None

    def reckon(self, job_id: str) -> None:
        """When is the job due next, as the fold stands?"""
        state = self.partition.schedules.get(job_id)
        engine = self._engine(job_id, state.job_version) if state is not None else None
        due = engine.next_us(state.decided_until) if engine is not None and state is not None else None
        if due is None:
            self._next.pop(job_id, None)
        elif self._next.get(job_id) != due:
            self._next[job_id] = Micros(due)
            heappush(self._due, (Micros(due), job_id))

    def _version(self, job_id: str, number: int) -> tuple[Job, Version] | None:
        job = self.registry.jobs.get(job_id)
        version = job.versions.get(number) if job is not None else None
        return (job, version) if job is not None and version is not None else None

    def _engine(self, job_id: str, number: int) -> Schedule | None:
        engine = self._engines.get((job_id, number))
        if engine is None:
            found = self._version(job_id, number)
            spec: ScheduleSpec | None = found[1].schedule if found is not None else None
            if spec is None:
                return None
            try:
                engine = self._engines[job_id, number] = Schedule.from_spec(spec)
            except Refused as refused:  # an older engine took it; its ticks wait for one that does
                log.critical("no engine reads this schedule", action="schedule.unread", job_id=job_id, version=number, why=str(refused))
        return engine

    def adopt(self, draft: PartitionDraft) -> bool:
        """Take over what the registry moved, settling the old version's ticks first. False: the rest belongs to the next commit."""
        for job_id in sorted(self.noticed):
            if not self._adopt(draft, job_id):
                return False
            self.noticed.discard(job_id)
        draft.adopts_up_to = max(self.registry.at, draft.head.registry or self.registry.at)
        return True

    def _adopt(self, draft: PartitionDraft, job_id: str) -> bool:
        state = draft.schedule_of(job_id)
        job = self.registry.jobs.get(job_id)
        wanted = job.current if job is not None and job.state == "active" else None
        if wanted is not None and wanted.schedule is None:
            wanted = None
        if (
            job is None
            or (state is None and wanted is None)
            or (state is not None and wanted is not None and state.job_version == wanted.number)
        ):
            return True
        if state is not None and not self._fire(draft, job_id, min(draft.at, job.in_force_at)):
            return False
        if wanted is None:
            return draft.include([tick.Dropped(job_id)])
        settled = draft.schedule_of(job_id)
        since = max(job.in_force_at, settled.decided_until if settled is not None else 0)
        return draft.include([tick.Adopted(job_id, wanted.number, Micros(since), ENGINE, tzdata_version())])

    def fire(self, draft: PartitionDraft) -> None:
        """Decide the ticks that are due at the draft's time."""
        while (due := self.next_due()) is not None and due <= draft.at:
            _, job_id = heappop(self._due)
            del self._next[job_id]
            if not self._fire(draft, job_id, draft.at):
                self._next[job_id] = due
                heappush(self._due, (due, job_id))
                return

    def _fire(self, draft: PartitionDraft, job_id: str, until: int) -> bool:
        state = draft.schedule_of(job_id)
        found = self._version(job_id, state.job_version) if state is not None else None
        engine = self._engine(job_id, state.job_version) if state is not None else None
        if state is None or found is None or engine is None or until <= state.decided_until:
            return True
        old = _old(engine, state.decided_until, min(until, tick.horizon(draft.at)))
        due = [Micros(one) for one in engine.between_us(max(state.decided_until, tick.horizon(draft.at)), until)]
        return draft.include(draft.fire(*found, tick.judge(due, draft.at, old)))


def _old(engine: Schedule, after: int, until: int) -> tick.Range | None:
    """The ticks in (after, until] as one range, reckoned and not enumerated."""
    count = engine.count_us(after, until) if after < until else 0
    first, last = (engine.next_us(after), engine.latest_us(after, until)) if count else (None, None)
    return tick.Range(Micros(first), Micros(last), count) if first is not None and last is not None else None
