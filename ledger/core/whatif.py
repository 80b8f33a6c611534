"""What became of some jobs, in two accounts: as it is recorded, and as it would be under another policy. Pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, TypeVar

from msgspec import structs

from ledger.core import execution, tick
from ledger.core.consequences import ENDS
from ledger.core.execution import Requested
from ledger.core.ids import ExecutionId, Micros
from ledger.core.invalid import Invalid
from ledger.core.policy_text import with_policies
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.schedule_text import spec_of
from ledger.core.wire import Event

NOT_EXPECTED: Final = "not expected"
Spec = TypeVar("Spec", bound=ScheduleSpec)


@dataclass(frozen=True, slots=True)
class Policy:
    """What would be otherwise; what is None stays as it was. `concurrency`: so many executions of a job run at once."""

    overlap: tick.Overlap | None = None
    cron: tuple[str, ...] | None = None
    timezone: str | None = None
    catchup_window_ms: int | None = None
    concurrency: int | None = None

    def applied(self, spec: Spec) -> Spec:
        if self.cron is not None:
            spec = structs.replace(spec, cron=self.cron, every_ms=None, offset_ms=0, at=None)
        said = {"overlap": self.overlap, "timezone": self.timezone, "catchup_window_ms": self.catchup_window_ms}
        return structs.replace(spec, **{name: value for name, value in said.items() if value is not None})


def policy_of(
    overlap: str | None = None,
    cron: str | Sequence[str] | None = None,
    timezone: str | None = None,
    catchup_window: str | timedelta | None = None,
    concurrency: int | None = None,
) -> Policy:
    """As a person says it. Raises `Invalid`."""
    written = spec_of(cron or "@daily", None, None, None, timezone or "UTC", "vixie", None, None, ())
    spec = with_policies(written, overlap=overlap, catchup_window=catchup_window)
    if concurrency is not None and concurrency < 1:
        raise Invalid("invalid", "concurrency", concurrency, "is less than 1", "4")
    return Policy(
        None if overlap is None else spec.overlap,
        None if cron is None else spec.cron,
        None if timezone is None else spec.timezone,
        None if catchup_window is None else spec.catchup_window_ms,
        concurrency,
    )


@dataclass(slots=True)
class Run:
    """One execution. `due_at`: from when on it might have run."""

    execution_id: ExecutionId
    job_id: str
    trigger: str
    due_at: int
    tick_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    state: str = "live"
    is_old: bool = False  # it had started before

    @property
    def waited(self) -> int | None:
        """Until its first start."""
        return None if self.started_at is None or self.is_old else max(0, self.started_at - self.due_at)


@dataclass(slots=True)
class Outcome:
    """Of ticks in a row that have the same."""

    first: int
    last: int
    count: int
    said: str


@dataclass(slots=True)
class Book:
    """One account, fed with the events in order."""

    runs: dict[ExecutionId, Run] = field(default_factory=dict)
    ticks: dict[str, list[Outcome]] = field(default_factory=dict)

    def begin(self, request: Requested, *, is_active: bool) -> None:
        """It was live before."""
        run = self.runs[request.execution_id] = _run_of(request, request.requested_at)
        run.is_old = is_active

    def feed(self, at: Micros, event: Event) -> None:
        if isinstance(event, Requested):
            self.runs[event.execution_id] = _run_of(event, at)
            if event.trigger == "schedule" and event.tick_at is not None:
                self._tick(event.job_id, Outcome(event.tick_at, event.tick_at, 1, "fired"))
        elif isinstance(event, tick.Skipped | tick.Missed):
            name = "skipped" if isinstance(event, tick.Skipped) else "missed"
            self._tick(event.job_id, Outcome(event.tick_at, event.last_tick_at, event.count, f"{name}({event.reason})"))
        elif isinstance(event, execution.Event) and (run := self.runs.get(event.execution_id)) is not None:
            if isinstance(event, execution.Started) and run.started_at is None:
                run.started_at = at
            elif type(event) in ENDS:
                run.ended_at, run.state = at, execution.state_at_end(event)

    def outcome(self, job_id: str, tick_at: int | None) -> str:
        """What became of this tick. A job's ticks are decided in their order."""
        known = self.ticks.get(job_id, [])
        nth = 0 if tick_at is None else bisect_right(known, tick_at, key=lambda one: one.first)
        return known[nth - 1].said if tick_at is not None and nth and tick_at <= known[nth - 1].last else NOT_EXPECTED

    def _tick(self, job_id: str, outcome: Outcome) -> None:
        known = self.ticks.setdefault(job_id, [])
        if known and known[-1].said == outcome.said != "fired":
            known[-1].last, known[-1].count = outcome.last, known[-1].count + outcome.count
        else:
            known.append(outcome)


def _run_of(event: Requested, at: int) -> Run:
    due_at = event.due_at if event.due_at is not None else max(at, event.run_at or 0)
    return Run(event.execution_id, event.job_id, event.trigger, due_at, event.tick_at)


@dataclass(frozen=True, slots=True)
class Side:
    """A job in one account. Waiting: from due to the first start, of the runs that started in the range."""

    fired: int
    skipped: int
    missed: int
    runs: int
    started: int
    waited_us: int
    longest_us: int
    ticks: dict[str, int]  # by outcome
    ends: dict[str, int]  # of runs, by state


What = Literal["added", "removed", "moved", "ended_otherwise"]


@dataclass(frozen=True, slots=True)
class RunChange:
    """A run that would be otherwise. `recorded` and `replayed` say what is there of it; `moved_us`: how much later it would start."""

    what: What
    execution_id: ExecutionId
    tick_at: int | None
    recorded: str
    replayed: str
    moved_us: int | None = None


@dataclass(frozen=True, slots=True)
class JobWhatIf:
    """`waited_us`: by how much those runs would wait longer (or less) that start in both accounts."""

    job_id: str
    recorded: Side
    replayed: Side
    waited_us: int
    changes: tuple[RunChange, ...]
    is_same: bool


def compared(job_id: str, recorded: Book, replayed: Book) -> JobWhatIf:
    mine, other = _runs(job_id, recorded), _runs(job_id, replayed)
    changes = tuple(sorted(_changes(job_id, recorded, replayed, mine, other), key=lambda one: (one.tick_at or 0, one.execution_id)))
    both = [(one, other[name]) for name, one in mine.items() if name in other]
    more = sum((b.waited or 0) - (a.waited or 0) for a, b in both if a.waited is not None and b.waited is not None)
    same_ticks = recorded.ticks.get(job_id, []) == replayed.ticks.get(job_id, [])
    return JobWhatIf(job_id, _side(job_id, recorded, mine), _side(job_id, replayed, other), more, changes, same_ticks and not changes)


def _runs(job_id: str, book: Book) -> dict[ExecutionId, Run]:
    return {name: run for name, run in book.runs.items() if run.job_id == job_id}


def _changes(
    job_id: str, recorded: Book, replayed: Book, mine: dict[ExecutionId, Run], other: dict[ExecutionId, Run]
) -> Iterator[RunChange]:
    for name, run in mine.items():
        if (there := other.get(name)) is None:
            yield RunChange("removed", name, run.tick_at, _said(run), replayed.outcome(job_id, run.tick_at))
        elif run.started_at != there.started_at:
            by = None if run.started_at is None or there.started_at is None else there.started_at - run.started_at
            yield RunChange("moved", name, run.tick_at, _said(run), _said(there), by)
        elif (run.state, run.ended_at) != (there.state, there.ended_at):
            yield RunChange("ended_otherwise", name, run.tick_at, _said(run), _said(there))
    for name, run in other.items():
        if name not in mine:
            yield RunChange("added", name, run.tick_at, recorded.outcome(job_id, run.tick_at), _said(run))


def _said(run: Run) -> str:
    return "did not start" if run.started_at is None and run.state == "live" and not run.is_old else run.state


def _side(job_id: str, book: Book, runs: dict[ExecutionId, Run]) -> Side:
    ticks: Counter[str] = Counter()
    for one in book.ticks.get(job_id, ()):
        ticks[one.said] += one.count
    waits = [run.waited for run in runs.values() if run.waited is not None]
    return Side(
        ticks["fired"],
        _sum(ticks, "skipped"),
        _sum(ticks, "missed"),
        len(runs),
        len(waits),
        sum(waits),
        max(waits, default=0),
        dict(ticks),
        dict(Counter(run.state for run in runs.values())),
    )


def _sum(ticks: Counter[str], kind: str) -> int:
    return sum(count for said, count in ticks.items() if said.startswith(kind))
