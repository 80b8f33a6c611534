"""Ticks that are planned before their time: the log is the same as without plans, whatever comes between."""

import os
import random
from collections.abc import Callable

import pytest

from ledger.core import request
from ledger.core.definition import Retire
from ledger.core.ids import Micros
from ledger.core.options import Options
from ledger.core.partition_draft import PartitionDraft
from ledger.core.pause import Pause, Resume
from ledger.core.planned import as_planned, plan
from ledger.core.tick import ON_TIME
from processors.control.plans import PLANNED_AHEAD, PLANNED_AT_ONCE
from tests.unit.control.home import NOON, SECOND, Home
from tests.unit.simulation.year import Year

SEED = int(os.environ.get("JOBLEDGER_SEED", "20261128"))
DUE = NOON + SECOND
Between = Callable[[Home], object]
JOB_SCOPE = {"exclusive_scope": "job"}


def beating(*, plans: bool = True, **spec: object) -> Home:
    home = Home(plans=plans)
    home.schedule(**spec)
    home.act()
    return home


def view(home: Home, at: int) -> PartitionDraft:
    return PartitionDraft(home.partition, home.facts.registry, Micros(at), engines=home.schedules.engines)


def holds(spec: dict[str, object], at: int, between: Between = lambda home: None) -> bool:
    """Whether the plan of the tick that is due first still holds at that time. The log has to be the same as without plans."""
    home, plain = beating(**spec), beating(plans=False, **spec)
    due = home.schedules.next_due()
    assert due is not None
    planned = plan(view(home, due), "beat:1")
    assert planned is not None
    between(home), between(plain)
    expected = as_planned(view(home, at), planned)
    events = home.act(at)
    assert plain.act(at) == events and plain.log == home.log
    assert expected is None or expected in events
    return expected is not None


@pytest.mark.parametrize(
    "spec",
    [
        {"exclusive_scope": "none"},
        JOB_SCOPE,
        {"exclusive_scope": "tenant", "tenant": "acme", "options": Options(busy="keep_last")},
        {"options": Options(start_deadline_ms=500, priority=2)},
        {"limit": 1},
        {"overlap": "buffer_all"},
        {"overlap": "cancel_other"},
    ],
    ids=str,
)
@pytest.mark.parametrize("late", [0, 1, SECOND - 1])
def test_a_plan_holds_until_the_next_tick_is_due(spec: dict[str, object], late: int) -> None:
    assert holds(spec, DUE + late)


def test_a_plan_holds_as_long_as_its_tick_is_on_time() -> None:
    assert holds({"every_ms": 60_000}, NOON + 60 * SECOND + ON_TIME - 1)
    assert not holds({"every_ms": 60_000}, NOON + 60 * SECOND + ON_TIME)


def test_a_plan_is_of_one_tick() -> None:
    assert not holds({}, DUE + SECOND)


def test_a_plan_counts_from_the_due_time_of_a_job_with_jitter() -> None:
    due = beating(jitter_ms=900).schedules.next_due()
    assert due is not None and due > DUE
    assert holds({"jitter_ms": 900}, due) and holds({"jitter_ms": 900}, due + SECOND - 1)
    assert not holds({"jitter_ms": 900}, due - 1) and not holds({"jitter_ms": 900}, due + SECOND)


@pytest.mark.parametrize(
    "between",
    [
        lambda home: home.ask(Retire(home.name(), "beat:1")),
        lambda home: home.schedule(every_ms=2000),
        lambda home: home.ask(Pause(home.name(), "job", "beat:1")),
        lambda home: home.ask(Pause(home.name(), "queue", "default")),
        lambda home: home.send(request.SkipTick(home.name(), "beat:1", Micros(DUE))),
        lambda home: home.send(request.RunNow(home.name(), "beat:1")),
        lambda home: home.report(home.live()[0], "failed") if home.send(request.RunNow(home.name(), "beat:1")) else None,
    ],
    ids=["retired", "edited", "paused", "queue paused", "skipped by hand", "run now", "a run failed"],
)
def test_a_plan_does_not_hold_when_something_came_between(between: Between) -> None:
    assert not holds({}, DUE, between)


def test_a_plan_does_not_hold_when_another_job_holds_its_key() -> None:
    spec = {"exclusive_scope": "tenant", "tenant": "acme"}

    def run_another(home: Home) -> None:
        home.schedule("beat:2", every_ms=86_400_000, **spec)
        home.act()
        home.send(request.RunNow(home.name(), "beat:2"))

    assert not holds(spec, DUE, run_another)


def test_what_concerns_others_leaves_a_plan_as_it_is() -> None:
    def turmoil(home: Home) -> None:
        home.schedule("beat:2", exclusive_scope="none")
        home.ask(Pause(home.name(), "job", "beat:2"), Pause(home.name(), "tenant", "acme"))
        home.ask(Resume(home.name(), "tenant", "acme"))
        home.act()

    assert holds(JOB_SCOPE, DUE, turmoil)


def test_there_is_no_plan_where_a_tick_does_not_simply_fire() -> None:
    home = beating(**JOB_SCOPE)
    home.send(request.RunNow(home.name(), "beat:1"))
    assert plan(view(home, DUE), "beat:1") is None  # by its overlap policy it is skipped, if the run has not ended by then
    assert plan(view(home, DUE - 1), "beat:1") is None and plan(view(home, DUE), "beat:9") is None


# When they are made


def test_plans_are_made_in_portions_shortly_before_the_time() -> None:
    home = Home(plans=False)
    jobs = PLANNED_AT_ONCE + 3
    for number in range(jobs):
        home.schedule(f"beat:{number}", every_ms=60_000, exclusive_scope="none")
    home.act()
    schedules, due = home.schedules, NOON + 60 * SECOND
    schedules.plan(Micros(due - PLANNED_AHEAD - 1))
    assert len(schedules.plans) == 0 and schedules.next_plan() == due - PLANNED_AHEAD
    for planned in (PLANNED_AT_ONCE, jobs):
        assert schedules.next_plan() == due - PLANNED_AHEAD
        schedules.plan(Micros(due - PLANNED_AHEAD))
        assert len(schedules.plans) == planned
    assert schedules.next_plan() is None
    assert len(home.act(due)) == jobs and len(schedules.plans) == 0


def test_a_draft_that_is_dropped_is_decided_again_without_its_plans() -> None:
    home = Home()
    for number in range(5):
        home.schedule(f"beat:{number}", exclusive_scope="none")
    home.act()
    assert len(home.schedules.plans) == 5
    home.now = DUE
    first = home.draft().events
    home.schedules.dropped()
    assert len(home.schedules.plans) == 0 and len(first) == 5
    assert home.act() == first


@pytest.mark.parametrize("jobs", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_a_year_has_the_same_log_with_plans_and_without(jobs: int) -> None:
    logs = []
    for plans in (True, False):
        year = Year(random.Random(SEED), jobs, 0.03, Home(plans=plans))
        year.run()
        logs.append(year.home.log)
    assert logs[0] == logs[1]
