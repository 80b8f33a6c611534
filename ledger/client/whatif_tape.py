"""What is recorded of some jobs in their home partition, and the same replayed under another policy. No I/O here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from ledger.client.as_of_reading import LOOKED_FOR
from ledger.client.whatif_facts import Facts, RegistryCommit
from ledger.client.whatif_plans import Plans
from ledger.client.whatif_world import Beat, World
from ledger.core import definition, execution, outcome, pause, tick, wire
from ledger.core.chain import Header
from ledger.core.consequences import ENDS
from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId, Micros
from ledger.core.moment import Moment
from ledger.core.partition import Partition
from ledger.core.recorded import Recorder
from ledger.core.refusal import Refused
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.whatif import Book, Policy
from ledger.core.wire import Event

MOST_EVENTS: Final = 1_000_000  # of the jobs, in the range
_REZONED: Final = b'"schedule.rezoned'


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: the jobs at home in a partition that are looked at, and those that share an exclusivity key with them."""

    partition: int
    jobs: frozenset[str]
    keys: frozenset[str]


class Tape:
    """Fed with the accepted commits of the partition, from the first to the end of the range, which begins behind `first`."""

    def __init__(self, cast: Cast, first: Moment, *, capped: bool = False) -> None:
        self.partition = Partition(cast.partition)
        self.recorder = Recorder()
        self.plans = Plans(self.recorder, capped=capped)
        self.beats: list[Beat] = []
        self.recorded: list[tuple[Micros, Event]] = []
        self._cast, self._first = cast, first
        self._words = [wire.quoted(name) for name in (*cast.jobs, *cast.keys)]
        self._live: dict[ExecutionId, bytes] = {}

    def feed(self, header: Header, record: bytes, offset: int) -> None:
        events = wire.decode_commit(record).events if header.seq == 1 or self._is_in(record) else ()
        mine = [(nth, event) for nth, event in enumerate(events) if self._concerns(event)]
        if self._first.covers(header):
            self.partition.accept(header, [event for _, event in mine], "", offset)
        else:
            if not self.beats:
                self._begin()
            self.beats.append(Beat(header.seq, Micros(header.at), header.registry))
            self.recorded += [(Micros(header.at), event) for _, event in mine]
        played = ((nth, event) for nth, event in mine if isinstance(event, execution.Event | tick.Event))
        self.recorder.feed(header.seq, Micros(header.at), played)
        if not self.beats:
            for _, event in mine:
                if isinstance(event, execution.Event) and type(event) in ENDS:
                    self.recorder.forget(event.execution_id)
        if len(self.recorded) > MOST_EVENTS:
            raise Refused("too_many", f"more than {MOST_EVENTS} events in that time: take a shorter range, or fewer jobs")

    def _begin(self) -> None:
        for execution_id in self.partition.executions:
            self.plans.begin(execution_id)

    def end(self) -> None:
        """There are no more commits in the range."""
        if not self.beats:
            self._begin()
        self.recorder.count_full()

    def _is_in(self, record: bytes) -> bool:
        return (
            len(self._live) > LOOKED_FOR
            or _REZONED in record
            or any(word in record for word in self._words)
            or any(name in record for name in self._live.values())
        )

    def _concerns(self, event: Event) -> bool:
        match event:
            case Requested():
                if event.job_id not in self._cast.jobs and event.exclusive_key not in self._cast.keys:
                    return False
                self._live[event.execution_id] = event.execution_id.encode()
                return True
            case execution.Progressed() | execution.ReportRefused():
                return False
            case outcome.Opened() | tick.Rezoned():
                return True
        if isinstance(event, tick.Event):
            return event.job_id in self._cast.jobs
        if not isinstance(event, execution.Event) or event.execution_id not in self._live:
            return False
        if type(event) in ENDS:
            del self._live[event.execution_id]
        return True


def books(tape: Tape, registry: Sequence[RegistryCommit], policy: Policy, changed: Iterable[str]) -> tuple[Book, Book]:
    """What is recorded, and what comes of it under another policy. `registry`: as that policy would have had it; `changed`: the jobs whose
    schedules have other ticks."""
    live = [state for state in tape.partition.executions.values() if not isinstance(state, execution.Ended)]
    recorded, replayed = Book(), Book()
    for book in (recorded, replayed):
        for state in live:
            book.begin(state.request, is_active=isinstance(state, execution.Active))
    for at, event in tape.recorded:
        recorded.feed(at, event)
    facts = Facts(registry)
    facts.reach(tape.partition.head.registry)
    for job_id in changed:
        if (schedule := tape.partition.schedules.get(job_id)) is not None:
            since = max(schedule.decided_until, tape.partition.head.at)  # an edit never fires the past
            tape.partition.schedules[job_id] = structs.replace(schedule, decided_until=Micros(since), next_at=None)
    world = World(tape.partition, facts, tape.recorder, tape.plans, tape.beats, policy.concurrency)
    world.run()
    for at, event in world.told:
        replayed.feed(at, event)
    return recorded, replayed


def registry_under(policy: Policy, commits: Iterable[wire.Commit], cast: Cast, looked_at: frozenset[str]) -> Iterator[RegistryCommit]:
    """What the registry says of the cast, with the schedules of the jobs that are `looked_at` as the policy has them."""
    for commit in commits:
        said: list[Event] = []
        for event in commit.events:
            match event:
                case outcome.Opened() | pause.Began() | pause.Ended():
                    said.append(event)
                case definition.ManifestApplied():
                    in_force = tuple(one for one in event.in_force if one[0] in cast.jobs)
                    retired = tuple(one for one in event.retired if one in cast.jobs)
                    said.append(structs.replace(event, in_force=in_force, retired=retired))
                case definition.Versioned() if event.job_id in cast.jobs:
                    if event.job_id in looked_at and event.schedule is not None:
                        event = structs.replace(event, schedule=policy.applied(event.schedule))
                    said.append(event)
                case definition.Registered() | definition.Retired() if event.job_id in cast.jobs:
                    said.append(event)
                case _:
                    pass
        yield RegistryCommit(commit, tuple(said))


def has_other_ticks(policy: Policy, spec: ScheduleSpec) -> bool:
    after = policy.applied(spec)
    return (after.cron, after.every_ms, after.offset_ms, after.timezone) != (spec.cron, spec.every_ms, spec.offset_ms, spec.timezone)
