"""Whatever comes together in a batch: commands of every kind in one draft, ticks, pauses, edits, lost workers, dropped drafts, restarts.

Given a seed, when such a life is led, then the fold of the log is what control holds, from its start and from a snapshot; of each key one
execution at most is the holder, and nobody waits behind nobody.
"""

from random import Random
from typing import Final, get_args

import pytest

from ledger.core import request, wire
from ledger.core.definition import Register, Retire
from ledger.core.execution import Active, Buffered, Ended, Live, Report, Waiting
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from ledger.core.options import Busy, Options
from ledger.core.partition import Partition, holds_its_key
from ledger.core.pause import Pause, PauseScope, Resume
from ledger.core.tick import Overlap
from ledger.core.uniqueness import Unique
from tests.unit.control.home import SECOND, Home

WORKERS: Final = (WorkerId("w"), WorkerId("v"))
JOBS: Final = ("turns:1", "turns:2", "free")  # the first two exclude each other
OVERLAPS: Final[tuple[Overlap, ...]] = get_args(Overlap)
BUSY: Final[tuple[Busy, ...]] = get_args(Busy)
UNIQUE: Final = [
    Unique("u", states, on_conflict)
    for states in (("delayed", "waiting", "active"), ("completed",), ("waiting",))
    for on_conflict in ("ignore", "replace", "reject")
]
PAUSED: Final[tuple[tuple[PauseScope, str], ...]] = (
    *(("job", job) for job in JOBS),
    ("tenant", "acme"),
    ("queue", "default"),
    ("key", "tenant:beat:acme"),
)
KEPT: Final = ("executions", "holders", "keys", "of_keys", "retries", "schedules", "acts", "rejections", "backfills", "bulks", "stopped")
STEPS: Final = 40


class Life:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.home = Home(plans=self.maybe(0.5))
        self.home.ask(Register(self.home.name(), "sync", "sync", "on_demand", "default", 1, "h", exclusive_scope="key"))
        self.sent: list[request.Submit] = []
        self.granted: list[tuple[ExecutionId, Token, WorkerId]] = []  # what was ever reported of
        for job_id in JOBS:
            self.edit(job_id)
        self.home.act()

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def lead(self) -> None:
        for _ in range(STEPS):
            self.random.choices(
                (self.send, self.wait, self.pause, self.change, self.lose_a_worker, self.restart), weights=(60, 15, 7, 6, 5, 7)
            )[0]()
            check_lines(self.home.partition)
        assert kept(self.home.partition) == kept(folded(self.home))

    # What happens

    def send(self) -> None:
        self.home.offer_all()
        self.home.send(*(self.command() for _ in range(self.random.choice((1, 2, 4, 8, 12)))))

    def wait(self) -> None:
        self.home.act(self.home.now + self.random.choice((1, 1, 3, 5, 9, 30, 400)) * SECOND, lose=self.maybe(0.3))

    def pause(self) -> None:
        scope, name = self.random.choice(PAUSED)
        paused = Pause(self.home.name(), scope, name, "broken") if self.maybe(0.5) else Resume(self.home.name(), scope, name)
        self.home.ask(paused)
        self.hear()

    def change(self) -> None:
        job_id = self.random.choice(JOBS)
        if self.maybe(0.5) and self.home.facts.registry.jobs[job_id].state == "active":
            self.home.ask(Retire(self.home.name(), job_id))
        else:
            self.edit(job_id)
        self.hear()

    def hear(self) -> None:
        if self.maybe(0.7):  # else with whatever comes next
            self.home.act()

    def lose_a_worker(self) -> None:
        if self.home.partition.workers:
            self.home.lose(self.random.choice(list(self.home.partition.workers)))

    def restart(self) -> None:
        before = kept(self.home.partition)
        assert kept(folded(self.home)) == before
        self.home.restart(from_snapshot=True)
        assert kept(self.home.partition) == before

    def edit(self, job_id: str) -> None:
        choice, turns = self.random.choice, job_id.startswith("turns")
        self.home.schedule(
            job_id,
            every_ms=choice((2000, 3000, 7000)),
            overlap=choice(OVERLAPS),
            coalesce=choice(("latest", "all", "earliest")),
            jitter_ms=choice((0, 0, 500)),
            pause_on_failure=choice((None, None, 2)),
            limit=choice((None, None, None, 5)),
            tenant="acme" if turns else None,
            exclusive_scope="tenant" if turns else "none",
            options=self.options(),
        )

    # What is sent

    def options(self) -> Options | None:
        busy, deadline = self.random.choice((None, *BUSY)), self.random.choice((None, None, 4000))
        return None if busy is None and deadline is None else Options(busy=busy, start_deadline_ms=deadline)

    def command(self) -> wire.Command:
        kinds = (self.submit, self.again, self.run_now, self.cancel, self.retry, self.backfill, self.skip, self.report)
        return self.random.choices(kinds, weights=(25, 5, 12, 8, 6, 4, 2, 38))[0]() or self.submit()

    def submit(self) -> request.Submit:
        choice, is_keyed = self.random.choice, self.maybe(0.7)
        submit = request.Submit(
            self.home.name(),
            "sync" if is_keyed else "beat",
            tenant=choice((None, "acme")),
            exclusive_key=choice("ab") if is_keyed else None,
            idempotency_key=choice((None, None, "i1", "i2")),
            delay_ms=choice((None, None, 2000)),
            options=self.options(),
            unique=choice((None, None, choice(UNIQUE))) if is_keyed else None,
            answer="me",
        )
        self.sent.append(submit)
        return submit

    def again(self) -> request.Submit | None:
        return self.random.choice(self.sent[-6:]) if self.sent else None

    def run_now(self) -> request.RunNow:
        overlap = self.random.choice((None, None, *OVERLAPS))
        return request.RunNow(self.home.name(), self.random.choice((*JOBS, "beat")), overlap=overlap, ignore_pause=self.maybe(0.4))

    def cancel(self) -> request.Cancel | None:
        live = [name for name, state in self.home.partition.executions.items() if isinstance(state, Live)]
        return request.Cancel(self.home.name(), self.random.choice(live), actor="ada") if live else None

    def retry(self) -> request.Retry | None:
        known = list(self.home.partition.executions)
        job_id = self.random.choice(("beat", "sync", *JOBS))
        return (
            request.Retry(self.home.name(), self.random.choice(known), job_id, 1, exclusive_key=self.random.choice("ab")) if known else None
        )

    def backfill(self) -> request.Backfill:
        name, first, last = self.random.choice(("b1", "b2", "b3")), self.home.now - 20 * SECOND, self.home.now - SECOND
        return request.Backfill(self.home.name(), self.random.choice(JOBS), name, Micros(first), Micros(last), only_unfired=self.maybe(0.5))

    def skip(self) -> request.SkipTick | None:
        job_id = self.random.choice(JOBS)
        schedule = self.home.partition.schedules.get(job_id)
        return None if schedule is None else request.SkipTick(self.home.name(), job_id, schedule.next_at or Micros(self.home.now))

    def report(self) -> Report | None:
        choice, running = self.random.choice, self.home.partition.executions.items()
        grants = [
            (name, state.token, state.worker if isinstance(state, Active) else choice(WORKERS))
            for name, state in running
            if isinstance(state, Waiting | Active)
        ]
        if self.granted and self.maybe(0.15):
            grant = choice(self.granted[-20:])  # of an older attempt, or what was said before
        elif grants:
            self.granted.append(grant := choice(grants))
        else:
            return None
        outcome = choice((None, None, "completed", "completed", "failed", "timed_out", "handed_back", "skipped", "cancelled", "snoozed"))
        again = choice((None, 0, 3000)) if outcome in ("failed", "timed_out") else 2000 if outcome == "snoozed" else None
        takes_next = outcome is not None and self.maybe(0.6)
        return Report(*grant, outcome=outcome, retry_after_ms=again, takes_next=takes_next, answer="o" if outcome is None else None)


def folded(home: Home) -> Partition:
    """The same log, from its first commit."""
    fold = Partition(0, remembered=5000)
    for offset, record in enumerate(home.log):
        fold.feed(record, offset)
    return fold


def kept(fold: Partition) -> dict[str, object]:
    return {
        **{part: getattr(fold, part) for part in KEPT},
        "lines": {line: list(entries) for line, entries in fold.buffered.items()},
        "runs": {job_id: list(runs) for job_id, runs in fold.runs.items()},
        "workers": {worker: set(held) for worker, held in fold.workers.items() if held},
        "ended": (list(fold.ended), list(fold.ended_ticks), list(fold.keyed), fold.newest_append),
        "unique": fold.uniques.by_key,
    }


def check_lines(fold: Partition) -> None:
    held = [state.request.exclusive_key for state in fold.executions.values() if isinstance(state, Live) and holds_its_key(state)]
    keys = [key for key in held if key is not None]
    assert len(keys) == len(set(keys)), "two hold a key"
    assert set(fold.holders) == set(keys)
    assert not any(isinstance(fold.executions[one], Ended) for one in fold.holders.values())
    for line in fold.buffered:
        if line.startswith("line:"):
            runs = fold.runs.get(line.removeprefix("line:"), ())
            assert any(not isinstance(fold.executions[one], Buffered) for one in runs), f"nobody is before {line}"
        else:
            assert line in fold.holders, f"nobody holds {line}"


@pytest.mark.parametrize("seed", range(150))
def test_whatever_comes_together_is_one_history(seed: int) -> None:
    Life(seed).lead()


@pytest.mark.slow
def test_whatever_comes_together_is_one_history_in_3000_lives() -> None:
    for seed in range(1000, 4000):
        try:
            Life(seed).lead()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
