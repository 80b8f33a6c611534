"""What a log says of how executions went: when each could start, when it did, how it ended, and what people asked for meanwhile. Pure.

That is what a replay under another policy takes as given: workers are as quick, code runs as long and ends as it did, and control was there
when it was. What follows from policies is decided again. Source: docs/decisions/0021.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Final, NamedTuple

from ledger.core import execution, tick
from ledger.core.execution import Cancelled, CancelRequested, Requested, Skipped
from ledger.core.ids import ExecutionId, Micros, WorkerId

KEPT_FIGURES: Final = 1000  # of a job, the latest
BY_TIMER: Final = (execution.Due, execution.Blocked, execution.Missed, execution.Skipped)
_ENDS_OF_TRY: Final = (
    execution.Completed,
    execution.Failed,
    execution.AttemptFailed,
    execution.Snoozed,
    execution.HandedBack,
    execution.AttemptLost,
    execution.Lost,
)


class Mark(NamedTuple):
    """The place and the time of a recorded event."""

    seq: int
    nth: int
    at: int


@dataclass(slots=True)
class Try:
    """From the moment it may run. `end`: what ended it; a skip by a worker may, without a start."""

    eligible: Mark
    started: Mark | None = None
    worker: WorkerId | None = None
    asked_to_stop: Mark | None = None
    ended: Mark | None = None
    end: execution.Event | None = None
    broken_off: Mark | None = None  # it was cancelled, skipped, missed or had to queue before it started
    was_full: bool = False  # as many of its job ran then as ever did: it may have waited for one of them

    @property
    def was_cut(self) -> bool:
        """It ended because it was asked to: how long it would have run is not known."""
        return isinstance(self.end, Cancelled) and self.end.reason != "by_handler"

    @property
    def waited(self) -> int | None:
        return None if self.started is None else self.started.at - self.eligible.at


@dataclass(slots=True)
class Script:
    """One execution."""

    job_id: str
    tries: list[Try] = field(default_factory=list)
    by_timer: set[int] = field(default_factory=set)  # commits in which its time had come
    cancelled: int | None = None  # the commit that did away with it before a try began: its time may have come there, too


@dataclass(slots=True)
class Figures:
    """Of a job's recorded tries, in microseconds."""

    waits: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT_FIGURES))
    runs: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT_FIGURES))
    reactions: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT_FIGURES))
    running: int = 0
    most_running: int = 0

    @property
    def usual_wait(self) -> int:
        return median_low(self.waits) if self.waits else 0

    @property
    def quickest_wait(self) -> int:
        return min(self.waits, default=0)

    @property
    def usual_run(self) -> int:
        return median_low(self.runs) if self.runs else 0

    @property
    def usual_reaction(self) -> int:
        """From being asked to stop to the end."""
        return median_low(self.reactions) if self.reactions else 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody outside wanted, at its place in a commit: a run, a cancel, a tick to be left out."""

    mark: Mark
    event: Requested | CancelRequested | Cancelled | tick.SkipOrdered
    policy: tick.Overlap = "allow_all"  # of a run by hand, as far as it shows
    replaced: tuple[Skipped, ...] = ()  # by one that is unique: those whose place it takes


class Recorder:
    """Fed with the events that concern the jobs that are looked at, in order."""

    def __init__(self) -> None:
        self.scripts: dict[ExecutionId, Script] = {}
        self.figures: dict[str, Figures] = {}
        self.asked: dict[int, list[Asked]] = {}  # by commit
        self.decided: dict[str, list[tuple[int, int, int]]] = {}  # by job: first and last tick, the commit that decided them

    def feed(self, seq: int, at: Micros, events: Iterable[tuple[int, execution.Event | tick.Event]]) -> None:
        here = list(events)
        for index, event in here:
            mark = Mark(seq, index, at)
            if isinstance(event, tick.Event):
                self._of_schedule(mark, event)
            elif isinstance(event, Requested):
                self._requested(mark, event, here)
            elif (script := self.scripts.get(event.execution_id)) is not None:
                self._of_execution(mark, event, script)

    def forget(self, execution_id: ExecutionId) -> None:
        """It ended before anything is replayed; its figures stay."""
        self.scripts.pop(execution_id, None)

    def count_full(self) -> None:
        """Once all is known: which tries began while as many ran as ever did."""
        marks: list[tuple[Mark, int, str, Try | None]] = []
        for script in self.scripts.values():
            for one in script.tries:
                marks.append((one.eligible, 0, script.job_id, one))
                if one.started is not None:
                    marks.append((one.started, 1, script.job_id, None))
                    if one.ended is not None:
                        marks.append((one.ended, -1, script.job_id, None))
        running: dict[str, int] = {}
        for _, change, job_id, began in sorted(marks, key=lambda entry: entry[0]):
            running[job_id] = running.get(job_id, 0) + change
            if began is not None:
                began.was_full = running[job_id] >= self.figures[job_id].most_running > 0

    def decision(self, job_id: str, tick_at: int) -> int | None:
        """The commit that decided this tick, if it was one."""
        known = self.decided.get(job_id, [])
        nth = bisect_right(known, tick_at, key=lambda one: one[0]) - 1
        return known[nth][2] if nth >= 0 and tick_at <= known[nth][1] else None

    def _of_schedule(self, mark: Mark, event: tick.Event) -> None:
        if isinstance(event, tick.SkipOrdered):
            self.asked.setdefault(mark.seq, []).append(Asked(mark, event))
        elif isinstance(event, tick.Skipped | tick.Missed):
            self.decided.setdefault(event.job_id, []).append((event.tick_at, event.last_tick_at, mark.seq))

    def _requested(self, mark: Mark, event: Requested, here: Sequence[tuple[int, execution.Event | tick.Event]]) -> None:
        script = self.scripts[event.execution_id] = Script(event.job_id)
        self.figures.setdefault(event.job_id, Figures())
        if event.trigger == "schedule" and event.tick_at is not None:
            self.decided.setdefault(event.job_id, []).append((event.tick_at, event.tick_at, mark.seq))
        else:
            self.asked.setdefault(mark.seq, []).append(Asked(mark, event, _policy_of(event, here), _replaced_by(event, here)))
        if may_run_at_once(event, mark.at):
            script.tries.append(Try(mark))

    def _of_execution(self, mark: Mark, event: execution.Event, script: Script) -> None:
        figures, one = self.figures[script.job_id], script.tries[-1] if script.tries else None
        runs = one is not None and one.started is not None and one.ended is None
        if isinstance(event, BY_TIMER):
            script.by_timer.add(mark.seq)
        elif isinstance(event, Cancelled) and not runs:
            script.cancelled = mark.seq
        if isinstance(event, execution.Due):
            script.tries.append(Try(mark))
        elif isinstance(event, execution.Started) and one is not None:
            one.started, one.worker = mark, event.worker
            figures.waits.append(mark.at - one.eligible.at)
            figures.running += 1
            figures.most_running = max(figures.most_running, figures.running)
        elif isinstance(event, CancelRequested | Cancelled):
            self._of_cancel(mark, event, one, figures, runs=runs)
        elif one is not None and isinstance(event, _ENDS_OF_TRY):
            one.ended, one.end = mark, event
            figures.running -= runs
            if isinstance(event, execution.Completed) and one.started is not None:
                figures.runs.append(mark.at - one.started.at)
            if isinstance(event, execution.HandedBack | execution.AttemptLost):
                script.tries.append(Try(mark))
        elif one is not None and isinstance(event, Skipped) and (runs or _is_of_workers(event)):
            one.ended, one.end = mark, event
            figures.running -= runs
        elif one is not None and isinstance(event, Skipped | execution.Missed | execution.Blocked):
            one.broken_off = mark

    def _of_cancel(self, mark: Mark, event: CancelRequested | Cancelled, one: Try | None, figures: Figures, *, runs: bool) -> None:
        is_answer = isinstance(event, Cancelled) and one is not None and (one.asked_to_stop is not None or event.reason == "by_handler")
        if event.reason == "asked" and not is_answer:
            self.asked.setdefault(mark.seq, []).append(Asked(mark, event))
        if one is None:
            return
        if isinstance(event, CancelRequested):
            one.asked_to_stop = mark
        elif not runs:
            one.broken_off = mark
        else:
            one.ended, one.end = mark, event
            figures.running -= 1
            if one.asked_to_stop is not None:
                figures.reactions.append(mark.at - one.asked_to_stop.at)


def may_run_at_once(event: Requested, at: int) -> bool:
    return event.blocked_by is None and (event.run_at is None or event.run_at <= at)


def _policy_of(event: Requested, here: Sequence[tuple[int, execution.Event | tick.Event]]) -> tick.Overlap:
    """By which overlap policy a run by hand took its place: what it did to the others shows it, and its own line."""
    for _, other in here:
        if isinstance(other, Cancelled | CancelRequested) and other.because_of == event.execution_id:
            return "terminate_other" if other.reason == "terminate_other" else "cancel_other"
    return "buffer_all" if event.blocked_by is not None and event.exclusive_key is None else "allow_all"


def _replaced_by(event: Requested, here: Sequence[tuple[int, execution.Event | tick.Event]]) -> tuple[Skipped, ...]:
    """The detail of those begins with who came after them. Not all have its unique key: others waited for an exclusivity key."""
    if event.unique_key is None:
        return ()
    others = (one for _, one in here if isinstance(one, Skipped) and one.reason == "replaced")
    return tuple(one for one in others if (one.detail or "").partition(" ")[0] == event.execution_id)


def _is_of_workers(event: Skipped) -> bool:
    """No worker would have it: no policy decided that."""
    return event.worker is not None or event.reason == "no_worker_for_version"
