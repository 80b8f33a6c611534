"""A simulated year explained and audited: from its two logs alone each expected tick gets one class, and everything adds up."""

import random
from collections import defaultdict

import pytest
from msgspec import json

from ledger.core import definition, execution, tick, wire
from ledger.core.audit_saved import SavedAudit
from ledger.core.audit_totals import Totals
from ledger.core.auditing import PartitionAudit
from ledger.core.chain import Head
from ledger.core.definition import Registry
from ledger.core.engines import Engines, version_of
from ledger.core.execution import Requested
from ledger.core.ids import Micros
from ledger.core.stretches import Decided, Moved, Stretch, TakenOver, moves_of, stretches
from ledger.core.why import Expected, Outcome, Run, explain
from tests.unit.control.home import DAY
from tests.unit.simulation.year import Year

PARTITION = 0


class Logs:
    """Both logs of a year, decoded."""

    def __init__(self, year: Year) -> None:
        self.registry, self.moves = Registry(), defaultdict[str, list[Moved]](list)
        self.commits = [wire.decode_commit(record) for record in year.home.log]
        self.now = year.home.now
        for record in year.home.registry_log:
            commit = wire.decode_commit(record)
            for event in commit.events:
                if isinstance(event, definition.Event):
                    definition.evolve(self.registry, event, Micros(commit.at))
                    for job_id, moved in moves_of(event, commit.seq, commit.at):
                        self.moves[job_id].append(moved)

    def audited(self, *, without: type[wire.Event] | None = None, nth: int = 0) -> Totals:
        """`without` the nth event of this type."""
        totals = Totals()
        partition = PartitionAudit(PARTITION, 1, self.registry, self.moves, totals)
        left = nth + 1
        for commit in self.commits:
            events: list[wire.Event] = []
            for event in commit.events:
                if without is not None and type(event) is without:
                    left -= 1
                    if left == 0:
                        event = tick.Rezoned(1)  # which says nothing here, and leaves the others in their places
                events.append(event)
            partition.feed(commit, events)
        partition.end()
        totals.count_forwards()
        return totals


@pytest.fixture(scope="module")
def logs() -> Logs:
    year = Year(random.Random(4711), 40, 0.05)
    year.run()
    return Logs(year)


def test_everything_adds_up(logs: Logs) -> None:
    totals = logs.audited()
    figures = totals.figures
    assert totals.differences == []
    assert figures["expected"] == figures["fired"] + figures["skipped"] + figures["missed"] > 1000
    assert figures["executions"] == figures["terminal"] + figures["live"]
    assert figures["started"] == figures["attempts ended"] + figures["running"]


@pytest.mark.parametrize(
    ("lost", "checks"),
    [
        (tick.Skipped, {"ticks"}),
        (tick.Missed, {"ticks"}),
        (execution.Requested, {"ticks", "executions"}),
        (execution.Started, {"executions", "attempts"}),
    ],
)
def test_an_event_that_is_not_there_is_found(logs: Logs, lost: type[wire.Event], checks: set[str]) -> None:
    differences = logs.audited(without=lost, nth=3).differences
    found = {one.check for one in differences}
    assert found and found <= checks, differences


def test_every_expected_tick_of_the_year_is_explained(logs: Logs) -> None:
    takeovers, outcomes = defaultdict[str, list[TakenOver]](list), defaultdict[str, list[tuple[Outcome, Decided]]](list)
    for commit in logs.commits:
        for index, event in enumerate(commit.events):
            match event:
                case tick.Adopted():
                    place = (commit.at, commit.seq, index, event.since, event.job_version, commit.registry)
                    takeovers[event.job_id].append(TakenOver(*place))
                case tick.Dropped():
                    takeovers[event.job_id].append(TakenOver(commit.at, commit.seq, index, commit.at, None, commit.registry))
                case tick.Skipped() | tick.Missed():
                    is_ = "skipped" if isinstance(event, tick.Skipped) else "missed"
                    row = Outcome(event.job_version, event.tick_at, event.last_tick_at, event.count, is_, event.reason, commit.at)  # type: ignore[arg-type]  # one of two words
                    outcomes[event.job_id].append((row, _decided(row, commit.seq, index)))
                case Requested(trigger="schedule", tick_at=int(at)):
                    row = Outcome(event.job_version, at, at, 1, "fired", None, commit.at, event.due_at, event.execution_id)
                    outcomes[event.job_id].append((row, _decided(row, commit.seq, index)))
                case _:
                    pass
    explained, seen = 0, set[tuple[str, str | None]]()
    for job_id, taken in takeovers.items():
        rows = [row for row, _ in outcomes[job_id]]
        found = stretches(None, taken, logs.moves[job_id], [decided for _, decided in outcomes[job_id]])
        expected = [one for stretch in found if (one := _expected(logs, job_id, stretch, rows)) is not None]
        runs = {row.execution_id or "": Run("completed", None, row.decided_at) for row in rows}
        newest = max((row.last for row in rows), default=0)
        classes = explain(expected, rows, runs, 0, logs.now + DAY, logs.now, newest)
        assert not [one for one in classes if one.is_ == "unexplained"], job_id
        explained += sum(one.count for one in classes if one.is_ != "pending")
        seen |= {(one.is_, one.reason) for one in classes}
    assert explained == logs.audited().figures["expected"]
    assert {"on_time", "late", "pending", "skipped", "missed"} == {is_ for is_, _ in seen}
    assert {"overlap", "buffer_full", "paused", "catchup_window"} <= {reason for _, reason in seen}


def _decided(row: Outcome, seq: int, index: int) -> Decided:
    return Decided(row.job_version, row.first, row.last, seq, index)


def _expected(logs: Logs, job_id: str, one: Stretch, rows: list[Outcome]) -> Expected | None:
    version = version_of(logs.registry, job_id, one.job_version)
    engine = None if version is None else Engines().of(version[1].written)
    if engine is None:
        return None
    mine = [row for row in rows if row.job_version == one.job_version and row.outcome == "fired" and row.first > one.since]
    mine = [row for row in mine if one.until is None or row.last <= one.until]
    is_spent = engine.spec.limit is not None and len(mine) >= engine.spec.limit
    return Expected(one.job_version, engine, one.since, mine[-1].last if is_spent else one.until)


@pytest.mark.parametrize("parts", [2, 7])
def test_an_audit_in_parts_is_the_audit_of_the_whole(logs: Logs, parts: int) -> None:
    """Kept as bytes between them, as a timer would."""
    whole, totals, kept = logs.audited(), Totals(), b""
    size = len(logs.commits) // parts + 1
    for first in range(0, len(logs.commits), size):
        saved = json.decode(kept, type=SavedAudit) if kept else None
        totals = Totals() if saved is None else Totals.going_on(saved)
        partition = PartitionAudit(PARTITION, 1, logs.registry, logs.moves, totals)
        if saved is not None:
            partition.go_on(saved.partitions[0])
        for commit in logs.commits[first : first + size]:
            partition.feed(commit, commit.events)
        stands = partition.saved(Head("events", PARTITION), first)
        partition.end()
        totals.count_forwards()
        assert totals.differences == []
        kept = json.encode(totals.saved("log", {}, [stands]))
    assert totals.figures == whole.figures


def test_an_audit_that_goes_on_finds_what_is_wrong_behind_it(logs: Logs) -> None:
    half = len(logs.commits) // 2
    first = PartitionAudit(PARTITION, 1, logs.registry, logs.moves, Totals())
    for commit in logs.commits[:half]:
        first.feed(commit, commit.events)
    totals = Totals()
    second = PartitionAudit(PARTITION, 1, logs.registry, logs.moves, totals)
    second.go_on(first.saved(Head("events", PARTITION), half))
    lost = next(nth for nth, commit in enumerate(logs.commits) if nth > half and any(map(is_skip, commit.events)))
    for nth, commit in enumerate(logs.commits[half:], half):
        second.feed(commit, [] if nth == lost else commit.events)
    second.end()
    assert totals.differences


def is_skip(event: wire.Event) -> bool:
    return isinstance(event, tick.Skipped)
