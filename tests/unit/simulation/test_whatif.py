"""What-if: the same policy gives exactly the recorded history; another one what it would have led to."""

import os
import random
from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec import Raw

from ledger.client.whatif_held import Held
from ledger.client.whatif_plans import Planned, Plans
from ledger.client.whatif_tape import Cast, Tape, books, registry_under
from ledger.core import request, wire
from ledger.core.definition import Register, Retire
from ledger.core.execution import Active, Cancelled, Skipped, Waiting
from ledger.core.ids import ExecutionId, Micros
from ledger.core.invalid import Invalid
from ledger.core.moment import EventName, Moment
from ledger.core.options import Options
from ledger.core.pause import Pause, Resume
from ledger.core.recorded import Recorder
from ledger.core.uniqueness import Unique
from ledger.core.whatif import Book, JobWhatIf, Outcome, Policy, compared, policy_of
from tests.unit.control.home import DAY, HOUR, MINUTE, NOON, SECOND, Home
from tests.unit.simulation.year import Year

SEED = int(os.environ.get("JOBLEDGER_SEED", "20261124"))


AS_IT_WAS = Policy()


def replayed(
    home: Home,
    jobs: list[str],
    first: int,
    until: int,
    policy: Policy = AS_IT_WAS,
    changed: Sequence[str] = (),
    cast: Cast | None = None,
) -> dict[str, JobWhatIf]:
    """A home's logs, read to `until` and replayed from `first` on; the policy is that of the jobs in `changed`, or of all."""
    cast = cast or Cast(0, frozenset(jobs), frozenset())
    tape = Tape(cast, Moment(Micros(first)), capped=policy.concurrency is not None)
    for offset, record in enumerate(home.log):
        header = wire.decode_header(record)
        if header.at <= until:
            tape.feed(header, record, offset)
    tape.end()
    registry = list(registry_under(policy, map(wire.decode_commit, home.registry_log), cast, frozenset(changed or jobs)))
    recorded, other = books(tape, registry, policy, changed)
    return {job_id: compared(job_id, recorded, other) for job_id in jobs}


def same(jobs: int, often: float, seed: int, *ranges: tuple[int, int], takes: int = 0) -> None:
    """Edits, pauses, retirements, cancels by policy, runs by hand, retries, restarts, a partition that hears nothing: all given again."""
    year = Year(random.Random(seed), jobs, often, Home(takes=takes))
    year.run()
    names = [f"job-{number}" for number in range(jobs)]
    for first, until in ranges:
        found = replayed(year.home, names, NOON + first * DAY, NOON + until * DAY)
        assert [(job_id, one) for job_id, one in found.items() if not one.is_same] == [], f"seed {seed}"
        assert sum(one.recorded.fired for one in found.values()) > jobs


@pytest.mark.parametrize("takes", [0, 3000])
def test_the_same_policy_gives_the_recorded_history(takes: int) -> None:
    """`takes`: microseconds from commit to commit."""
    same(20, 0.05, SEED, (100, 200), takes=takes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_the_same_policy_gives_the_recorded_history_of_busy_years(seed: int) -> None:
    same(60, 0.1, seed, (0, 366), (37, 211), (300, 310), takes=seed % 2 * 3000)


JOB = "beat:1"


class Past(Home):
    """One job, whose control is always there: it says so every half minute, as one that is idle does every minute."""

    def beat(self) -> None:
        draft = self.draft()
        record = draft.record()
        assert not draft.events and self.writer.confirm(draft, record, len(self.log))
        self.log.append(record)

    def live_for(self, minutes: int, runs_for: int, wait: int = 2, asks: Callable[[int], Sequence[wire.Command]] = lambda _: ()) -> None:
        """Every run starts `wait` seconds after it may and takes `runs_for` seconds, one after the other. `asks`: what comes then."""
        starts: dict[ExecutionId, int] = {}
        for second in range(0, minutes * 60, 2):
            self.act(NOON + second * SECOND)
            for command in asks(second):
                self.send(command)
            for execution_id, state in list(self.partition.executions.items()):
                if isinstance(state, Waiting) and state.eligible_at <= self.now - wait * SECOND:
                    self.start(execution_id)
                    starts[execution_id] = self.now
                elif isinstance(state, Active) and starts[execution_id] <= self.now - runs_for * SECOND:
                    self.report(execution_id)
            if second % 30 == 0:
                self.beat()

    def whatif(self, policy: Policy, first: int = NOON, *, changed: bool = False) -> JobWhatIf:
        return replayed(self, [JOB], first, self.now, policy, [JOB] if changed else [])[JOB]


def past(runs_for: int, scope: str = "none", **spec: object) -> Past:
    home = Past()
    home.schedule(JOB, every_ms=60_000, exclusive_scope=scope, **spec)
    home.live_for(30, runs_for)
    assert home.whatif(Policy()).is_same
    assert home.whatif(Policy(), NOON + 7 * MINUTE + 11 * SECOND).is_same
    return home


def test_a_tick_that_is_due_when_its_schedule_is_taken_over_is_decided_after_that() -> None:
    """As by control, whose commits take 3 ms each: it is in the next one."""
    home = Past(takes=3000)
    home.schedule(JOB, every_ms=60_000, exclusive_scope="none")
    home.act(NOON + MINUTE + 500)
    [one] = home.live()
    home.start(one)
    home.report(one)
    assert home.whatif(AS_IT_WAS, NOON - 1).is_same


def test_what_was_skipped_runs_when_overlap_is_allowed() -> None:
    """Runs take 80 s of each minute: every other tick was skipped."""
    home = past(80, overlap="skip")
    found = home.whatif(Policy(overlap="allow_all"))
    assert (found.recorded.ticks["fired"], found.recorded.ticks["skipped(overlap)"]) == (15, 14)
    assert found.replayed.ticks == {"fired": 29}
    added = [change for change in found.changes if change.what == "added"]
    assert len(added) == 14 and {change.recorded for change in added} == {"skipped(overlap)"}
    assert not [change for change in found.changes if change.what in ("moved", "removed")]
    run = found.replayed.waited_us // found.replayed.started
    assert run == 2 * SECOND, "a run that never was starts as quickly as is usual"


def test_what_ran_is_skipped_or_waits() -> None:
    home = past(80, overlap="allow_all")
    skipped = home.whatif(Policy(overlap="skip"))
    removed = [change for change in skipped.changes if change.what == "removed"]
    assert len(removed) == 14 and {change.replayed for change in removed} == {"skipped(overlap)"}
    waiting = home.whatif(Policy(overlap="buffer_all"))
    assert waiting.replayed.ticks == {"fired": 29} and waiting.waited_us > 14 * 20 * SECOND
    assert all((change.moved_us or 0) > 0 for change in waiting.changes if change.what == "moved" and change.replayed == "completed")
    one_at_a_time = home.whatif(Policy(concurrency=1))
    assert one_at_a_time.waited_us > 14 * 20 * SECOND and home.whatif(Policy(concurrency=2)).waited_us <= 0


def test_who_waits_for_an_exclusivity_key_goes_on_doing_so() -> None:
    home = past(80, "tenant", overlap="allow_all")
    assert home.whatif(Policy(overlap="buffer_all")).is_same
    found = home.whatif(Policy(overlap="skip"))
    assert found.waited_us < 0 and {change.what for change in found.changes} == {"removed", "moved"}


def test_other_ticks_and_a_part_of_the_past_alone() -> None:
    home = past(20)
    found = home.whatif(Policy(cron=("*/5 * * * *",)), NOON + 10 * MINUTE, changed=True)
    assert (found.recorded.ticks, found.replayed.ticks) == ({"fired": 19}, {"fired": 3})
    assert [change.what for change in found.changes].count("removed") == 16, "those at every fifth minute are the same runs"
    found = home.whatif(Policy(cron=("30 * * * * *",)), NOON + 10 * MINUTE, changed=True)
    assert found.replayed.ticks == {"fired": 20}
    added = [change for change in found.changes if change.what == "added"]
    assert len(added) == 20 and {change.recorded for change in added} == {"not expected"}


def test_a_cancelled_run_goes_on_where_nothing_cancels_it() -> None:
    home = Past()
    home.schedule(JOB, every_ms=60_000, exclusive_scope="none", overlap="cancel_other")
    home.act(NOON + MINUTE)
    [one] = home.live()
    home.start(one)
    home.act(NOON + 2 * MINUTE)
    home.act(NOON + 2 * MINUTE + SECOND)
    home.report(one, "cancelled")
    home.live_for(6, 20)
    assert home.whatif(Policy()).is_same
    found = home.whatif(Policy(overlap="skip"))
    assert [(change.what, change.recorded, change.replayed) for change in found.changes][:1] == [
        ("ended_otherwise", "cancelled", "completed")
    ]


def test_who_was_asked_to_stop_where_the_range_begins_stops_as_it_did() -> None:
    home = Past(takes=3000)
    home.schedule(JOB, every_ms=60_000, exclusive_scope="none", overlap="cancel_other")
    home.act(NOON + MINUTE)
    [one] = home.live()
    home.start(one)
    home.act(NOON + 2 * MINUTE)
    first = home.now
    home.act(first + SECOND)
    home.report(one, "cancelled")
    home.finish_all()
    found = home.whatif(AS_IT_WAS, first)
    assert found.is_same and found.recorded.ends == {"cancelled": 1, "completed": 1}


def test_a_tick_cancels_the_former_run_whose_start_is_too_late_from_that_time_on() -> None:
    """Both are due at one instant, and control decides the tick first, a little later."""
    home, other, key = Past(takes=3000), "beat:2", "tenant:beat:acme"
    home.schedule(other, every_ms=50_000, exclusive_scope="tenant", tenant="acme", overlap="skip")
    options = Options(start_deadline_ms=60_000)
    home.schedule(JOB, every_ms=60_000, exclusive_scope="tenant", tenant="acme", overlap="cancel_other", options=options)
    home.act(NOON + 50 * SECOND)
    home.start(*home.live())
    home.act(NOON + MINUTE + 2000)
    happened = home.act(NOON + 2 * MINUTE + 2000)
    assert any(isinstance(event, Cancelled) and event.reason == "cancel_other" for event in happened)
    found = replayed(home, [JOB, other], NOON, home.now, cast=Cast(0, frozenset((JOB, other)), frozenset((key,))))
    assert all(one.is_same and one.recorded.fired for one in found.values())


def test_a_pause_holds_what_is_replayed_too() -> None:
    home = Past()
    home.schedule(JOB, every_ms=60_000, exclusive_scope="none", overlap="skip")
    home.live_for(10, 80)
    home.ask(Pause(home.name(), "job", JOB, "stop"))
    home.act()
    home.act(NOON + 20 * MINUTE)
    home.ask(Resume(home.name(), "job", JOB))
    home.act()
    assert home.whatif(Policy()).is_same
    found = home.whatif(Policy(overlap="allow_all"))
    assert found.replayed.ticks["skipped(paused)"] == found.recorded.ticks["skipped(paused)"] == 11
    assert all(change.what == "added" for change in found.changes)


def test_what_a_pause_held_starts_once_it_is_over_and_not_before() -> None:
    """Nothing else was decided when it ended: the commit that took this over is empty."""
    home = Past()
    home.schedule(JOB, every_ms=60_000, exclusive_scope="none", overlap="skip")
    acts = {120: Pause(home.name(), "job", JOB), 130: Resume(home.name(), "job", JOB)}

    def asks(second: int) -> list[wire.Command]:
        if second in acts:
            home.ask(acts[second])
        return []

    home.live_for(4, 80, asks=asks)
    assert home.whatif(AS_IT_WAS).is_same
    added = home.whatif(Policy(overlap="allow_all"))
    assert added.replayed.longest_us == 12 * SECOND


def test_a_range_may_end_while_the_job_is_paused() -> None:
    """As it does by default where the job is paused now: what the pause skips is said a minute at a time."""
    home = Past(takes=3000)
    home.schedule(JOB, every_ms=10_000, exclusive_scope="none", overlap="skip")
    home.live_for(5, 3)
    home.ask(Pause(home.name(), "job", JOB, "stop"))
    home.act()
    for _ in range(30):
        home.act(home.now + 4 * SECOND)
        home.beat()
        assert home.whatif(AS_IT_WAS).is_same, f"{(home.now - NOON) / SECOND} s"
    assert home.whatif(AS_IT_WAS).recorded.ticks["skipped(paused)"] == 12


def test_nothing_fires_that_was_retired_or_changed_while_control_was_away_for_less_than_its_idle_minute() -> None:
    """As in a deploy: who comes back settles the ticks up to the change, and those after it are not expected any more."""
    for change in (lambda home: home.ask(Retire(home.name(), JOB)), lambda home: home.schedule(JOB, every_ms=3_600_000)):
        home = Past(takes=3000)
        home.schedule(JOB, every_ms=10_000, exclusive_scope="none", overlap="skip")
        home.live_for(5, 3)
        home.act(NOON + 5 * MINUTE)
        home.now += 5 * SECOND
        change(home)
        home.now += 40 * SECOND
        home.restart()
        home.act()
        home.beat()
        assert home.whatif(AS_IT_WAS).is_same


def test_a_backfill_that_is_under_way_where_the_range_begins_goes_on_as_it_did() -> None:
    """Its portions follow from the ends of those before."""
    home = Past(takes=3000)
    home.schedule(JOB, every_ms=3_600_000, exclusive_scope="none")
    home.act(NOON + 1000 * HOUR)
    home.finish_all()
    home.send(request.Backfill(home.name(), JOB, "again", NOON, Micros(NOON + 990 * HOUR)))
    middle = home.now
    while ready := [one for one in home.live() if isinstance(home.partition.executions[one], Waiting | Active)]:
        assert home.now > middle or home.partition.backfills
        home.now += SECOND
        for execution_id in ready[:50]:
            home.report(execution_id)
    for first in (middle, middle + 5 * SECOND):
        found = home.whatif(AS_IT_WAS, first)
        assert found.is_same and found.recorded.runs > 500


def test_policies_as_people_say_them() -> None:
    assert policy_of("skip", "@hourly", "Europe/Berlin", "90s", 2) == Policy("skip", ("@HOURLY",), "Europe/Berlin", 90_000, 2)
    assert policy_of() == Policy()
    for said in ({"overlap": "skpi"}, {"cron": "* *"}, {"timezone": "Nowhere"}, {"catchup_window": "1s"}, {"concurrency": 0}):
        with pytest.raises(Invalid):
            policy_of(**said)  # type: ignore[arg-type]  # one at a time


def test_jobs_that_share_a_key_are_replayed_together() -> None:
    """The runs of two jobs of a tenant, and what is submitted for it, exclude each other: who is asked about moves the others too."""
    home, other, key = Past(), "beat:2", "tenant:beat:acme"
    for job_id, every in ((JOB, 60_000), (other, 90_000)):
        home.schedule(job_id, every_ms=every, exclusive_scope="tenant", tenant="acme", overlap="buffer_one")
    home.live_for(40, 50)
    cast = Cast(0, frozenset((JOB, other)), frozenset((key,)))
    for first in (NOON, NOON + 13 * MINUTE + 5 * SECOND):
        found = replayed(home, [JOB, other], first, home.now, cast=cast)
        assert all(one.is_same and one.recorded.fired > 5 for one in found.values())
    found = replayed(home, [JOB, other], NOON, home.now, Policy(cron=("0 0 1 1 *",)), [JOB], cast=cast)
    assert found[JOB].replayed.fired == 0 and not found[other].is_same
    assert found[other].waited_us < 0, "nobody is before it in the line any more"


def test_after_an_outage_jobs_that_share_a_key_stand_in_line_by_when_they_were_due() -> None:
    """The job whose id comes last was due first."""
    home, other, key = Past(takes=3000), "beat:2", "tenant:beat:acme"
    for job_id, every in ((JOB, 90_000), (other, 60_000)):
        home.schedule(job_id, every_ms=every, exclusive_scope="tenant", tenant="acme", overlap="skip")
    home.act()
    home.now += 400 * SECOND
    home.restart()
    home.act()
    [first] = [one for one in home.live() if isinstance(home.partition.executions[one], Waiting)]
    assert first in home.partition.runs[other]
    home.finish_all()
    found = replayed(home, [JOB, other], NOON, home.now, cast=Cast(0, frozenset((JOB, other)), frozenset((key,))))
    assert all(one.is_same and one.recorded.fired for one in found.values())


def keyed(key: str, **more: object) -> Past:
    """A job under an exclusivity key, and submits of another one under the same."""
    home = Past()
    home.ask(Register(home.name(), "by-hand", "beat", "on_demand", "default", 1, "h", exclusive_scope="key"))
    home.schedule(JOB, every_ms=60_000, exclusive_scope="key", exclusive_key=key, overlap="buffer_all")

    def asks(second: int) -> list[wire.Command]:
        submit = request.Submit(home.name(), "by-hand", Raw(b"1"), exclusive_key=key, **more)  # type: ignore[arg-type]  # by name
        return [submit] if second % 90 in (50, 52) else []

    home.live_for(20, 30, asks=asks)
    return home


def is_given_again(home: Past, key: str) -> bool:
    return replayed(home, [JOB], NOON, home.now, cast=Cast(0, frozenset((JOB,)), frozenset((f"key:beat:{key}",))))[JOB].is_same


@pytest.mark.parametrize("key", ["plain", '7" pipe', "a\\b", "caf\u00e9", "tab\t"])
def test_runs_under_a_key_are_found_however_json_writes_it(key: str) -> None:
    assert is_given_again(keyed(key), key)


def test_a_submit_that_replaces_does_so_again() -> None:
    home = keyed("mine", unique=Unique("invoice", on_conflict="replace"))
    skips = [event for record in home.log for event in wire.decode_commit(record).events if isinstance(event, Skipped)]
    assert len(skips) > 5 and {event.reason for event in skips} == {"replaced"}
    assert is_given_again(home, "mine")


def test_with_the_name_of_an_event_a_range_begins_or_ends_behind_its_whole_commit() -> None:
    home, jobs = Home(takes=3000), ["beat:1", "beat:2", "beat:3"]
    for job_id in jobs:
        home.schedule(job_id, every_ms=60_000, exclusive_scope="none")
    home.act()
    home.act(NOON + MINUTE)
    last = wire.decode_header(home.log[-1])
    assert len(wire.decode_commit(home.log[-1]).events) == 3
    for index in (None, 0, 1, 2):
        moment = Moment(Micros(last.at), EventName("events", 0, last.seq, index))
        tape = Tape(Cast(0, frozenset(jobs), frozenset()), moment)
        for offset, record in enumerate(home.log):
            header = wire.decode_header(record)
            assert moment.covers(header)
            tape.feed(header, record, offset)
        assert not tape.recorded and len(tape.partition.executions) == 3


def test_where_a_run_ends_the_first_in_the_line_of_its_job_alone_tries_to_start() -> None:
    plans = Plans(Recorder(), capped=True)
    held, [a, b, c, other] = Held(plans), [Planned(ExecutionId(name), "start", 0) for name in "abcd"]
    for planned, job_id in ((a, JOB), (b, JOB), (other, "beat:2"), (c, JOB)):
        held.hold(planned, job_id, is_full=True)

    held.ended(JOB)
    assert plans.pop_free(0) == [a]
    held.hold(a, JOB, is_full=True)
    held.ended(JOB)
    assert plans.pop_free(0) == [a], "it keeps its place"

    held.came_to_nothing(a)
    assert held.instead() == b, "the place is for the next one"
    held.hold(b, JOB, is_full=False)
    assert held.instead() == c, "and where that is paused for the one behind it"
    held.hold(c, JOB, is_full=False)
    assert held.instead() is None

    held.ended(JOB)
    assert plans.pop_free(0) == []
    held.resumed()
    assert plans.pop_free(0) == [b, c]


class NeverRead(list[Outcome]):
    def __iter__(self) -> Iterator[Outcome]:
        raise AssertionError("all outcomes were read for one tick")


def test_what_became_of_a_tick_is_found_without_reading_all_of_them() -> None:
    book = Book(ticks={JOB: NeverRead([Outcome(10, 10, 1, "fired"), Outcome(20, 40, 3, "skipped(overlap)"), Outcome(50, 50, 1, "fired")])})
    found = {at: book.outcome(JOB, at) for at in (9, 10, 11, 20, 30, 40, 41, 50, 51)}
    assert {at for at, said in found.items() if said == "skipped(overlap)"} == {20, 30, 40}
    assert {at for at, said in found.items() if said == "fired"} == {10, 50}
    assert {at for at, said in found.items() if said == "not expected"} == {9, 11, 41, 51}
    assert book.outcome(JOB, None) == book.outcome("another", 10) == "not expected"
