"""The schedules of a home partition: which are in force there, when each is due next, and what the registry changed. No I/O here."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import chain

import structlog

from ledger.core import acts, tick
from ledger.core.definition import Job, Registry, Version, fires
from ledger.core.engines import Engines, version_of
from ledger.core.ids import Micros
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.pause import Paused, names_of
from ledger.core.planned import as_planned
from ledger.core.policies import delay_us, engine_versions
from ledger.core.registry import Touched
from ledger.core.tick import PAUSED_SPAN, InForce
from ledger.core.ticking import key_of, settle
from processors.control.plans import PLANNED_AHEAD, Plans

log = structlog.get_logger(__name__)


class Schedules:
    """What the draft under way decided is taken back by `dropped` and made final by `committed`."""

    def __init__(self, partition: Partition, registry: Registry, engines: Engines) -> None:
        self.partition = partition
        self.registry = registry
        self.engines = engines
        self.noticed: dict[str, None] = {}  # jobs the registry moved, not taken over yet, in that order
        self.pauses: set[Paused] = set()  # pauses that began or ended, likewise
        self._instants: list[Micros] = []  # a heap of those at which something is due
        self._due_at: dict[Micros, list[str]] = {}  # the jobs of each; many are due at once, and a job that was moved stays in a list
        self._next: dict[str, Micros] = {}
        self._turn: Callable[[str], tuple[int, str]] | None = None  # of those that are due at one instant, where it is not by their ids
        self.plans = Plans()
        self._settled: set[str] = set()  # by the draft under way
        self._adopted: set[str] = set()
        self._acknowledged: set[Paused] = set()

    def begin(self) -> None:
        """A new owner, or one whose fold moved under it: compare all schedules with the registry, and see when each is due."""
        self._settled, self._adopted, self._acknowledged = set(), set(), set()
        here = self.partition.schedules
        new = (job.job_id for job in self.registry.jobs.values() if self._is_home(job) and job.job_id not in here and fires(job))
        self.noticed = {job_id: None for job_id in chain(here, new) if self._is_news(job_id)}
        self._instants, self._due_at, self._next = [], {}, {}
        self.plans = Plans()
        for job_id in here:
            self.reckon(job_id)

    def notice(self, touched: Touched) -> bool:
        """The registry moved. True if that concerns this partition: a job at home here, or a pause, which may be of anything here."""
        here = {job_id for job_id in touched.jobs if self._is_at_home(job_id) and self._is_news(job_id)}
        self.noticed |= dict.fromkeys(sorted(here))
        self.pauses |= touched.pauses
        self._adopted -= here  # moved again while the draft under way is appended
        self._acknowledged -= touched.pauses
        return bool(here or touched.pauses)

    def _is_at_home(self, job_id: str) -> bool:
        return job_id in self.partition.schedules or self._is_home(self.registry.jobs[job_id])

    def _is_home(self, job: Job) -> bool:
        return job.home == self.partition.number and job.kind != "on_demand"

    @property
    def has_news(self) -> bool:
        """Something of the registry is not taken over yet: no command is decided before."""
        return bool(self.noticed or self.pauses)

    # When something is due

    def next_due(self) -> Micros | None:
        while self._instants:
            due = self._instants[0]
            jobs = self._due_at[due]
            while jobs and self._next.get(jobs[-1]) != due:
                jobs.pop()
            if jobs:
                return due
            del self._due_at[heappop(self._instants)]
        return None

    def reckon(self, job_id: str, not_before: Micros = Micros(0)) -> None:
        """When is the job due next, as the fold stands?"""
        due = self._next_decision(job_id)
        if due is None:
            self._next.pop(job_id, None)
            return
        due = max(due, not_before)
        if self._next.get(job_id) == due:
            return
        self._next[job_id] = due
        if due in self._due_at:
            self._due_at[due].append(job_id)
        else:
            self._due_at[due] = [job_id]
            heappush(self._instants, due)

    def _next_decision(self, job_id: str) -> Micros | None:
        state = self.partition.schedules.get(job_id)
        found = version_of(self.registry, job_id, state.job_version) if state is not None else None
        if state is None or found is None or not found[1].written:
            return None
        spec = self.engines.spec_of(found[1].written)
        if spec.is_spent(state.fired):
            return None
        following: int | None = state.next_at if self.partition.reckons_with == engine_versions() else None
        if following is None:
            engine = self.engines.of(found[1].written)
            if engine is None:
                log.critical("no engine reads this schedule", action="schedule.unread", job_id=job_id, version=state.job_version)
                return None
            following = engine.next_us(state.decided_until)
        if following is None:
            return None
        due = following + delay_us(job_id, spec.jitter_ms) if spec.jitter_ms else following
        return self._decided_at(job_id, following, max(due, state.decided_until + PAUSED_SPAN) if self._is_paused(found[0], state) else due)

    def _decided_at(self, job_id: str, following: int, due: int) -> Micros:
        """When the tick that is expected next is decided, if it is due then; a replay knows better."""
        return Micros(due)

    def _is_paused(self, job: Job, state: InForce) -> bool:
        standing = self.registry.pauses.standing
        return state.stopped is not None or (bool(standing) and not standing.keys().isdisjoint(self._names(job)))

    def _names(self, job: Job) -> list[Paused]:
        return names_of(job.job_id, job.queue, job.tenant, key_of(job))

    # What is planned

    def next_plan(self) -> Micros | None:
        """When there is something to plan next."""
        due = self.next_due()
        return None if due is None else self.plans.next_at(due)

    def plan(self, at: Micros) -> None:
        """Prepare some of the ticks that are due soon. Nobody has to: what is not planned is decided when it is due."""
        due = self.next_due()
        if due is not None and due - PLANNED_AHEAD <= at < due:
            then = PartitionDraft(self.partition, self.registry, due, engines=self.engines)
            self.plans.go_on(due, self._due_at[due], then, lambda job_id: self._next.get(job_id) == due)

    # What a draft decides

    def adopt(self, draft: PartitionDraft) -> bool:
        """Take over what the registry moved, settling the ticks up to then first. False: the rest belongs to the next commit."""
        if not self._rezone(draft):
            return False
        for job_id in self.noticed:
            if job_id not in self._adopted:
                if not self._adopt(draft, job_id):
                    return False
                self._adopted.add(job_id)
        for job_id in self._concerned() if self.pauses else ():
            self._settled.add(job_id)
            if not self._pause(draft, job_id):
                return False
        self._acknowledged |= self.pauses
        draft.adopts_up_to = max(self.registry.at, draft.head.registry or self.registry.at)
        draft.acknowledges = self.has_news
        if self.has_news and not draft.is_worth_a_commit:
            self.committed(set())  # all is so already
        return True

    def _rezone(self, draft: PartitionDraft) -> bool:
        mine, former = engine_versions(), self.partition.reckons_with
        return former is None or former == mine or draft.include([tick.Rezoned(*mine, *former)])

    def _is_news(self, job_id: str) -> bool:
        state = self.partition.schedules.get(job_id)
        wanted = _wanted(self.registry.jobs.get(job_id))
        return (wanted.number if wanted else None) != (state.job_version if state else None) or self._resumed(job_id, state) is not None

    def _adopt(self, draft: PartitionDraft, job_id: str) -> bool:
        state = draft.schedule_of(job_id)
        job = self.registry.jobs.get(job_id)
        wanted = _wanted(job)
        if job is None or (state is None and wanted is None):
            return True
        if state is not None and wanted is not None and state.job_version == wanted.number:
            return self._pause(draft, job_id)
        if state is not None and not settle(draft, job_id, min(draft.at, _until(job, state))):
            return False
        if wanted is None:
            return draft.include([tick.Dropped(job_id)])
        settled = draft.schedule_of(job_id)
        decided = settled.decided_until if settled is not None else self.partition.history.decided_until(job_id)
        since = max(job.in_force_at, decided)
        engine = self.engines.of(wanted.written)
        fired = self.partition.history.fired(job_id, wanted.number)
        is_over = engine is None or engine.spec.is_spent(fired)
        following = None if engine is None or is_over else engine.next_us(since)
        next_at = None if following is None else Micros(following)
        return draft.include([tick.Adopted(job_id, wanted.number, Micros(since), *engine_versions(), next_at, fired)])

    def _concerned(self) -> list[str]:
        """The schedules here that a pause or its end concerns."""
        if all(one.scope == "job" for one in self.pauses):
            return [one.name for one in self.pauses if one.name in self.partition.schedules]
        jobs = ((job_id, self.registry.jobs.get(job_id)) for job_id in self.partition.schedules)
        return [job_id for job_id, job in jobs if job is not None and not self.pauses.isdisjoint(self._names(job))]

    def _pause(self, draft: PartitionDraft, job_id: str) -> bool:
        """Whatever is due is settled with what is known now, and a job that paused itself goes on if somebody resumed it."""
        resumed = self._resumed(job_id, draft.schedule_of(job_id))
        if resumed is None:
            return settle(draft, job_id)
        at, lifted = resumed
        return settle(draft, job_id, min(at, draft.at)) and draft.include([lifted])

    def _resumed(self, job_id: str, state: InForce | None) -> tuple[Micros, tick.AutoResumed] | None:
        """When somebody resumed a job that has paused itself, if that came after it did."""
        found = self.registry.pauses.resumed.get(job_id) if state is not None and state.stopped is not None else None
        if found is None or state is None or state.stopped is None:
            return None
        address, ended, at = found
        if address.seq <= state.stopped.registry.seq or at < state.stopped.since:
            return None  # it was meant for something before
        return at, tick.AutoResumed(job_id, at, ended.actor, ended.reason)

    def fire(self, draft: PartitionDraft) -> None:
        """Decide the ticks that are due at the draft's time, then portions of the backfills."""
        while (due := self.next_due()) is not None and due <= draft.at:
            if not self._fire_at(draft, due):
                return
        for running in list(self.partition.backfills.values()):
            if acts.may_step(draft, running) and not draft.include(acts.step(draft, running)):
                return

    def _fire_at(self, draft: PartitionDraft, due: Micros) -> bool:
        """What is due at one instant, by the id of the job. False: the rest belongs to the next commit."""
        jobs = self._due_at[due]
        jobs.sort(key=self._turn, reverse=True)
        while jobs:
            job_id = jobs.pop()
            if self._next.get(job_id) != due:
                continue
            del self._next[job_id]
            before = len(draft.events)
            planned = self.plans.take(job_id)
            event = as_planned(draft, planned) if planned is not None else None
            whole = settle(draft, job_id) if event is None else draft.include([event])
            self._settled.add(job_id)
            if not whole:
                return False
            if len(draft.events) == before:
                self.reckon(job_id, Micros(draft.at + 1_000_000))
        return True

    @property
    def may_backfill(self) -> bool:
        """A backfill has a portion to ask for now."""
        live = self.partition.runs
        return any(len(live.get(one.begun.job_id, ())) < acts.MOST_LIVE for one in self.partition.backfills.values())

    # What became of the draft

    def committed(self, moved: set[str]) -> None:
        """It is in the fold; its events moved these jobs."""
        for job_id in self._adopted:
            self.noticed.pop(job_id, None)
        self.pauses -= self._acknowledged
        for job_id in moved | self._settled | self._adopted:
            if job_id in self.partition.schedules or job_id in self._next:
                self.reckon(job_id)
        self._settled, self._adopted, self._acknowledged = set(), set(), set()

    def dropped(self) -> None:
        """It is not in the fold, and all of it has to be decided again."""
        for job_id in self._settled:
            self.reckon(job_id)
        self._settled, self._adopted, self._acknowledged = set(), set(), set()


def _wanted(job: Job | None) -> Version | None:
    """The version whose schedule has to be in force, if any."""
    current = job.current if job is not None and job.state == "active" else None
    return current if current is not None and current.written else None


def _until(job: Job, state: InForce) -> Micros:
    """How far the former schedule goes: to the acceptance of what follows it, or to a retirement before that."""
    return job.retired_at if job.retired_at > state.since else job.in_force_at
