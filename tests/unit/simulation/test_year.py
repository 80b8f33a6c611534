"""A simulated year: expected ticks = fired + skipped + missed, compared with the oracle, over restarts, edits, pauses and lost drafts."""

import os
import random

import pytest

from ledger.core.execution import Live
from tests.unit.control.home import DAY, HOUR, NOON, SECOND, Home, counted
from tests.unit.simulation.year import Judge, Year, ended_once, fired_once

SEED = int(os.environ.get("JOBLEDGER_SEED", "20261124"))


def judged(jobs: int, often: float, seed: int) -> None:
    year = Year(random.Random(seed), jobs, often)
    year.run()
    found = Judge(year).verdict()
    for kind in ("fired", "overlap", "buffer_full", "paused", "catchup_window", "coalesced", "versions that reached their limit"):
        assert found[kind] > 0, f"seed {seed}: nothing was {kind}, so the year was too quiet: {found}"
    assert fired_once(year.home) and ended_once(year.home)
    folded = Home.__new__(Home)
    folded.__dict__.update(year.home.__dict__)
    folded.restart()
    assert folded.partition.schedules == year.home.partition.schedules, "a fold from the first commit is the state"


def test_every_expected_tick_of_a_year_has_exactly_one_outcome() -> None:
    judged(jobs=60, often=0.03, seed=SEED)


@pytest.mark.slow
def test_every_expected_tick_of_a_year_of_many_jobs_has_exactly_one_outcome() -> None:
    judged(jobs=200, often=0.01, seed=SEED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_every_expected_tick_of_a_busy_year_has_exactly_one_outcome(seed: int) -> None:
    judged(jobs=200, often=0.6, seed=seed)


def test_owners_whose_clocks_are_an_hour_apart_neither_double_nor_leave_out_a_tick() -> None:
    home = Home()
    home.schedule(every_ms=60_000, overlap="allow_all")
    home.act()
    events = []
    for nth in range(1, 400):
        home.now = NOON + nth * 30 * SECOND + (nth % 2) * HOUR
        home.restart()
        events += home.act()
    until = max(NOON + 399 * 30 * SECOND + HOUR, home.now)
    assert counted(events) == (until - NOON) // (60 * SECOND)
    assert fired_once(home)


def test_three_days_away_with_a_job_every_second_cost_a_start_nothing() -> None:
    home = Home()
    home.schedule(overlap="allow_all")
    home.act()
    home.now = NOON + 3 * DAY
    home.restart()
    commits = len(home.log)
    events = home.act()
    assert counted(events) == 3 * 86_400 and len(events) < 20 and len(home.log) == commits + 1
    assert sum(isinstance(state, Live) for state in home.partition.executions.values()) == 12
