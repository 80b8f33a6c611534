"""A year of schedules in one home partition, in virtual time: random jobs, owners that come and go, edits, pauses, acts, lost drafts.

What came of it is judged from the two logs alone, against the oracle: nothing here looks at the state of the product.
"""

import random
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from msgspec import structs

from ledger.core import definition, execution, pause, request, tick, wire
from ledger.core.definition import Retire, ScheduleJob
from ledger.core.execution import Active, Requested, Waiting
from ledger.core.ids import Micros
from ledger.core.options import Options
from ledger.core.pause import Pause, PauseScope, Resume
from ledger.core.policies import delay_us
from ledger.core.schedule_spec import ScheduleSpec
from tests.unit.control.home import DAY, HOUR, MINUTE, NOON, SECOND, Home
from tests.unit.schedule.oracle import Stretch

YEAR = 365 * DAY
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago", "UTC")
RARE = ("0 2 * * *", "30 2 * * *", "15 3 * * SUN", "0 0 1 * *", "0 12 L * *", "45 1,2 * * *", "@daily", "0 6 * * 1-5", "30 23 13 * 5#2")
OFTEN = ("0 * * * *", "0 */6 * * *", "30 1-4 * * *", "*/30 2 * * *", "15 */2 * * SAT,SUN")


@dataclass
class Year:
    """`often`: the share of jobs that fire many times a day."""

    rnd: random.Random
    jobs: int
    often: float
    home: Home = field(default_factory=Home)
    seen: Counter[str] = field(default_factory=Counter)
    deaf: list[tuple[int, int]] = field(default_factory=list)  # when the partition did not hear of the registry

    def spec(self) -> ScheduleSpec:
        rnd, often = self.rnd, self.rnd.random() < self.often
        policy = ScheduleSpec(
            overlap=rnd.choice(("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all")),
            catchup_window_ms=rnd.choice((10_000, 3_600_000, 90_000_000)),
            coalesce=rnd.choice(("latest", "earliest", "all")),
            limit=rnd.choice((None, None, None, 5, 50)),
            jitter_ms=rnd.choice((0, 0, 600_000)),
            pause_on_failure=rnd.choice((None, None, 2)),
        )
        if rnd.random() < 0.3:
            every = rnd.choice((3_600_000, 5_400_000) if often else (21_600_000, 86_400_000, 259_200_000))
            return structs.replace(policy, every_ms=every, offset_ms=rnd.randrange(0, every, 1000))
        texts = tuple(rnd.sample(OFTEN if often else RARE, rnd.choice((1, 1, 2))))
        return structs.replace(policy, cron=texts, timezone=rnd.choice(ZONES), dst=rnd.choice(("vixie", "cronos", "literal", "last")))

    def schedule(self, number: int) -> None:
        tenant = f"t{number % 7}"
        command = ScheduleJob(self.home.name(), "beat", self.home.name(), self.spec(), f"job-{number}", tenant=tenant)
        late = self.rnd.choice((None, None, 1000, 3_600_000))
        self.home.ask(structs.replace(command, queue="default", exclusive_scope="none", options=late and Options(start_deadline_ms=late)))

    def run(self) -> None:
        """The share of incidents grows with the jobs, as in life."""
        for number in range(self.jobs):
            self.schedule(number)
        self.home.act()
        end = NOON + YEAR
        while self.home.now < end:
            due = self.home.schedules.next_due() or end
            until = max(self.home.now, due) + self.rnd.choice((0, 1, SECOND, 5 * SECOND, 30 * SECOND))
            self.backlog()
            self.home.act(min(until, end), lose=self.rnd.random() < 0.02)
            if self.home.deaf and self.home.now >= self.deaf[-1][1]:
                self.hear()
            self.work_off()
            if self.rnd.random() < self.jobs / 8000:
                self.incident()
        self.end()

    def backlog(self) -> None:
        """Now and then what workers say stands behind other commands for a while."""
        if self.home.heard is None:
            self.home.heard = self.home.now if self.rnd.random() < 0.05 else None
        elif self.rnd.random() < 0.2:
            self.home.heard = None

    def work_off(self) -> None:
        """The workers are not always quick, nor always right; one execution in five takes days."""
        live = self.home.live()
        for execution_id in self.rnd.sample(live, min(len(live), 20)):
            state = self.home.partition.executions[execution_id]
            if isinstance(state, Waiting | Active) and self.rnd.random() < (0.002 if execution_id[20] in "048" else 0.6):
                outcome = self.rnd.choice(("completed",) * 4 + ("failed", "cancelled"))
                self.home.report(execution_id, outcome)

    def incident(self) -> None:
        home, rnd = self.home, self.rnd
        number = rnd.randrange(self.jobs)
        job_id = f"job-{number}"
        kind = rnd.choice(("away", "edit", "edit", "pause", "pause", "resume", "retire", "skip", "run", "deaf", "restart"))
        self.seen[kind] += 1
        match kind:
            case "away":
                home.now += rnd.choice((MINUTE, HOUR, 30 * HOUR, 3 * DAY))
                home.restart(from_snapshot=True)
            case "restart":
                home.restart(from_snapshot=True)
            case "edit":
                self.schedule(number)
            case "pause" | "resume":
                self.pause_or_resume(kind == "pause", job_id, f"t{number % 7}")
            case "retire":
                home.ask(Retire(home.name(), job_id))
            case "skip":
                self.skip(job_id)
            case "run":
                home.send(request.RunNow(home.name(), job_id, overlap=rnd.choice((None, "skip", "cancel_other"))))
            case "deaf":
                if not home.deaf:
                    home.deaf = True
                    self.deaf.append((home.now, home.now + rnd.choice((MINUTE, HOUR, 20 * HOUR))))

    def pause_or_resume(self, begin: bool, job_id: str, tenant: str) -> None:
        """Jobs stay paused until somebody resumes one of those that are; tenants and queues for a day at most."""
        home, rnd = self.home, self.rnd
        if not begin:
            stopped = [*(one.name for one in home.facts.registry.pauses.standing if one.scope == "job"), *sorted(home.partition.stopped)]
            for job_id in rnd.sample(stopped, min(len(stopped), 8)):
                home.ask(Resume(home.name(), "job", job_id))
            return
        scope: PauseScope = rnd.choice(("job", "job", "job", "tenant", "queue"))
        name = {"job": job_id, "tenant": tenant, "queue": "default"}[scope]
        home.ask(Pause(home.name(), scope, name))
        if scope != "job":
            home.act(home.now + rnd.choice((MINUTE, HOUR, DAY)))
            home.ask(Resume(home.name(), scope, name))

    def hear(self) -> None:
        self.home.deaf = False
        self.home.hear()
        self.deaf[-1] = (self.deaf[-1][0], self.home.now)

    def skip(self, job_id: str) -> None:
        """Leave out one of the next ticks, as a preview would show them."""
        job = self.home.facts.registry.jobs[job_id]
        if job.state != "active" or job.current is None or job.current.schedule is None:
            return
        engine = self.home.schedules.engines.of(job.current.written)
        following = engine.next_us(self.home.now + self.rnd.choice((1, DAY))) if engine is not None else None
        if following is not None:
            self.home.send(request.SkipTick(self.home.name(), job_id, Micros(following)))

    def end(self) -> None:
        """Everybody is heard, nothing is paused any more, and what is due by now is decided."""
        home = self.home
        home.heard = None
        if home.deaf:
            self.hear()
        for name in list(home.facts.registry.pauses.standing):
            home.ask(Resume(home.name(), *name))
        for number in range(self.jobs):
            home.ask(Resume(home.name(), "job", f"job-{number}"))
        home.act()
        home.act()


# The judgement


@dataclass
class Outcome:
    kind: str
    first: int
    last: int
    count: int


@dataclass
class Span:
    """A version in force in the home partition, and the outcomes of its ticks in the order of the log."""

    version: int
    since: int
    until: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)


class Judge:
    """Reads the logs of a year that is over."""

    def __init__(self, year: Year) -> None:
        home = year.home
        self.now, self.deaf = home.now, year.deaf
        self.specs: dict[tuple[str, int], ScheduleSpec] = {}
        self.accepted: dict[tuple[str, int], int] = {}
        self.retired: dict[str, list[int]] = defaultdict(list)
        self.paused: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
        self.spans: dict[str, list[Span]] = defaultdict(list)
        self.stopped: dict[str, list[list[int]]] = defaultdict(list)
        self.stretches: dict[str, Stretch] = {}
        self.firings: dict[tuple[str, str, str], list[int]] = {}
        self.expected: dict[tuple[str, int], list[int]] = {}
        for at, event in _events(home.registry_log):
            self._registry(at, event)
        for at, event in _events(home.log):
            self._event(at, event)
        for spans in (*self.paused.values(), *self.stopped.values()):
            for span in spans:
                span[1] = self._heard(span[1])

    def _registry(self, at: int, event: wire.Event) -> None:
        match event:
            case definition.Versioned(job_id, number) if event.schedule is not None:
                self.specs[job_id, number], self.accepted[job_id, number] = event.schedule, at
            case definition.Retired(job_id):
                self.retired[job_id].append(at)
            case pause.Began(scope, name):
                self.paused[scope, name].append([at, 2**62])
            case pause.Ended(scope, name):
                if self.paused[scope, name] and self.paused[scope, name][-1][1] == 2**62:
                    self.paused[scope, name][-1][1] = at
            case _:
                pass

    def _event(self, at: int, event: wire.Event) -> None:
        match event:
            case tick.Adopted(job_id, number, since):
                last = self._close(job_id, self.accepted[job_id, number])
                assert since == max(self.accepted[job_id, number], last), "it counts from its acceptance, or the last tick decided here"
                self.spans[job_id].append(Span(number, since))
            case tick.Dropped(job_id):
                self._close(job_id, at)
            case tick.Skipped() | tick.Missed():
                self._outcome(event.job_id, event.reason, event.tick_at, event.last_tick_at, event.count)
            case Requested(trigger="schedule", tick_at=int(tick_at)):
                self._outcome(event.job_id, "fired", tick_at, tick_at, 1)
            case tick.AutoPaused(job_id):
                self.stopped[job_id].append([at, 2**62])
            case tick.AutoResumed(job_id, since):
                self.stopped[job_id][-1][1] = since
            case _:
                pass

    def _close(self, job_id: str, until: int) -> int:
        """A span ends; a retirement that fell into it ends it before. Returns the last instant decided."""
        span = self.spans[job_id][-1] if self.spans[job_id] else None
        if span is None or span.until is not None:
            return 0
        until = next((at for at in reversed(self.retired[job_id]) if span.since < at <= until), until)
        last = span.outcomes[-1].last if span.outcomes else span.since
        span.until = max(until, last)
        return last

    def _outcome(self, job_id: str, kind: str, first: int, last: int, count: int) -> None:
        self.spans[job_id][-1].outcomes.append(Outcome(kind, first, last, count))

    def verdict(self) -> Counter[str]:
        """How many ticks came to what. Fails where one has no outcome, or two, or one that cannot be."""
        found: Counter[str] = Counter()
        for job_id, spans in self.spans.items():
            for earlier, later in pairwise(spans):
                assert earlier.until is not None and earlier.until <= later.since, f"{job_id}: {earlier} {later}"
            for span in spans:
                self._judge(job_id, span, found)
        return found

    def _judge(self, job_id: str, span: Span, found: Counter[str]) -> None:
        spec = self.specs[job_id, span.version]
        until = self.now - delay_us(job_id, spec.jitter_ms) if span.until is None else span.until
        until = max(until, span.outcomes[-1].last if span.outcomes else 0)  # a resume settles what was paused up to it, assigned or not
        expected = self._firings(job_id, span.version)
        low, high = bisect_right(expected, span.since), bisect_right(expected, until)
        fires = 0
        for outcome in span.outcomes:
            assert expected[low] == outcome.first, f"{job_id}: {outcome}"
            low += outcome.count
            assert expected[low - 1] == outcome.last, f"{job_id}: {outcome}"
            found[outcome.kind] += outcome.count
            fires += outcome.kind == "fired"
            if outcome.kind == "paused":
                self._judge_pause(job_id, expected[low - outcome.count : low])
        if spec.limit is not None and fires == spec.limit:
            found["versions that reached their limit"] += 1
            assert span.outcomes[-1].kind == "fired", "after the last that may fire no tick is expected"
            return
        assert spec.limit is None or fires < spec.limit
        assert low == high, f"{job_id} version {span.version}: {high - low} ticks of {high} have no outcome"

    def _judge_pause(self, job_id: str, ticks: list[int]) -> None:
        number = int(job_id.removeprefix("job-"))
        names = [("job", job_id), ("tenant", f"t{number % 7}"), ("queue", "default")]
        spans = [span for name in names for span in self.paused.get(name, ())] + self.stopped[job_id]
        assert all(any(since <= one <= until for since, until in spans) for one in ticks), f"{job_id} was not paused"

    def _heard(self, until: int) -> int:
        """When the partition heard of something that the registry decided then."""
        return next((end for start, end in self.deaf if start <= until < end), until)

    def _firings(self, job_id: str, number: int) -> list[int]:
        """All that the version expects in the year and some days, by the oracle."""
        known = self.expected.get((job_id, number))
        if known is None:
            known = self.expected[job_id, number] = list(self._of(self.specs[job_id, number]))
        return known

    def _of(self, spec: ScheduleSpec) -> Iterator[int]:
        if spec.every_ms is not None:
            every, offset = spec.every_ms * 1000, spec.offset_ms * 1000
            yield from range((NOON - offset) // every * every + offset, self.now + 1, every)
            return
        yield from sorted({one for text in spec.cron or () for one in self._of_text(text, spec.timezone, spec.dst)})

    def _of_text(self, text: str, zone: str, dst: str) -> list[int]:
        known = self.firings.get((text, zone, dst))
        if known is None:
            stretch = self.stretches.get(zone)
            if stretch is None:
                stretch = self.stretches[zone] = Stretch(zone, NOON // SECOND - 1, self.now // SECOND, step=3600)
            known = self.firings[text, zone, dst] = [one * SECOND for one in stretch.firings((text,), dst)]
        return known


def _events(log: list[bytes]) -> Iterator[tuple[int, wire.Event]]:
    for record in log:
        commit = wire.decode_commit(record)
        yield from ((commit.at, event) for event in commit.events)


def fired_once(home: Home) -> bool:
    """No tick was requested twice."""
    requested = [event.execution_id for _, event in _events(home.log) if isinstance(event, Requested)]
    return len(requested) == len(set(requested))


def ended_once(home: Home) -> bool:
    """No execution has two ends."""
    ends = (execution.Completed, execution.Failed, execution.Lost, execution.Missed, execution.Skipped, execution.Cancelled)
    names = [event.execution_id for _, event in _events(home.log) if isinstance(event, ends)]
    return len(names) == len(set(names))
