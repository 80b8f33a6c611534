"""The past from the log alone: moments, pages of executions in bounded memory, the row of a job's schedule."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from ledger.client.as_of import Status
from ledger.client.as_of_executions import Newest, One, stands_in
from ledger.client.as_of_reading import LOOKED_FOR
from ledger.client.as_of_rows import object_of
from ledger.core import chain, tick, wire
from ledger.core.chain import Header
from ledger.core.execution import Completed, Requested
from ledger.core.ids import NOWHERE, ExecutionId, Micros
from ledger.core.moment import EventName, Moment, name_of
from projections import forms
from projections.folds import fold_of
from projections.patches import Changes, Place
from projections.rows import Execution, ExecutionFilter
from tests.synthetic_log import BEGAN, SyntheticLog, execution_id, scheduled_lives, varied_lives

SKIP = [tick.Skipped("a", "a", 1, Micros(1), Micros(1), 1, "paused")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("3-120-2", EventName("events", 3, 120, 2)),
        ("0-7", EventName("events", 0, 7)),
        ("registry-12-0", EventName("registry", 0, 12, 0)),
        ("2026-10-25", None),
        ("2026-10-25T09:00:00Z", None),
        ("events-1-2", None),
        ("-1-2", None),
    ],
)
def test_names_of_events(text: str, name: EventName | None) -> None:
    assert name_of(text) == name
    assert name is None or str(name) == text


def header(log: str, partition: int, seq: int, at: int) -> Header:
    return Header(1, log, partition, seq, "", Micros(at), NOWHERE, None)


def test_a_moment_is_exact_in_its_partition_and_a_time_in_the_others() -> None:
    moment = Moment(Micros(100), EventName("events", 3, 7, 1))
    three = [*SKIP, *SKIP, *SKIP]
    assert moment.covers(header("events", 3, 7, 100)) and not moment.covers(header("events", 3, 8, 100))
    assert moment.covers(header("events", 2, 50, 100)) and not moment.covers(header("registry", 0, 1, 101))
    assert len(moment.covered(header("events", 3, 7, 100), three)) == 2
    assert len(moment.covered(header("events", 3, 6, 90), three)) == 3
    assert len(moment.covered(header("events", 2, 7, 100), three)) == 3
    assert Moment(Micros(100)).covers(header("events", 3, 9, 100))


def commits(lives: list[wire.Event]) -> list[tuple[list[wire.Event], Place]]:
    """As a reader meets them, 7 events a commit."""
    log = SyntheticLog("events", 0)
    log.fill(lives, 7)
    decoded = [wire.decode_commit(record) for record in log.records]
    assert chain.digest(log.records[0]) == decoded[1].prev
    return [(list(one.events), Place(0, one.seq, offset, one.at)) for offset, one in enumerate(decoded)]


WHERE = [
    ExecutionFilter(),
    ExecutionFilter(state="completed"),
    ExecutionFilter(state=("waiting", "delayed", "active", "processing")),
    ExecutionFilter(tenant="acme", state="failed"),
    ExecutionFilter(labels={"team": "a"}),
    ExecutionFilter(worker="worker-host-4711-a1b2c3"),
    ExecutionFilter(data={"i": "17"}),
    ExecutionFilter(job="nothing"),
    ExecutionFilter(from_=datetime.fromtimestamp(BEGAN / 1e6, UTC) + timedelta(milliseconds=10)),
]


@pytest.mark.parametrize("where", WHERE, ids=repr)
def test_a_page_of_the_past_is_what_all_rows_would_give(where: ExecutionFilter) -> None:
    """At many moments of a log; and what is held for it is bounded by what is live and the page."""
    chance = random.Random(7)
    most, before = chance.randint(1, 5), (BEGAN + 40_000, "~")
    newest, changes, fold = Newest(where, most, before), Changes(), fold_of("events", 1)
    for events, place in commits(varied_lives(120, 0, 3)):
        newest.fold(events, place)
        for index, event in enumerate(events):
            fold(changes, event, place, index)
        if place.seq % 5:
            continue
        every = [object_of(Execution, forms.EXECUTIONS, row) for row in changes.executions.values()]
        found = [object_of(Execution, forms.EXECUTIONS, row) for row in newest.newest()]
        assert found == sorted(filter(lambda one: fits(where, one, before), every), key=key, reverse=True)[:most]
        assert newest.held <= most + sum(not one.is_over for one in every)


def key(one: Execution) -> tuple[int, str]:
    return round(one.requested_at.timestamp() * 1e6), one.execution_id


def fits(where: ExecutionFilter, one: Execution, before: tuple[int, str]) -> bool:
    states = (where.state,) if isinstance(where.state, str) else where.state
    return (
        key(one) < before
        and (states is None or one.state in states)
        and where.tenant in (None, one.tenant)
        and where.worker in (None, one.worker)
        and where.job in (None, one.job_id)
        and all((one.labels or {}).get(name) == value for name, value in where.labels.items())
        and (not where.data or (isinstance(one.data, dict) and one.data.get("i") == 17))
        and (where.from_ is None or one.requested_at >= where.from_)
    )


@pytest.mark.parametrize(
    ("path", "value", "stands"),
    [("a.b", "1", True), ("a.b", "1.0", True), ("a.b", "true", False), ("c.1", "x", True), ("c.-1", "x", True), ("c.2", "x", False),
     ("t", "true", True), ("t", "1", False), ("a", '{"b": 1}', True), ("n", "null", True), ("s", "7", True), ("zz", "null", False),
     ("c.١", "x", False), ("c.--1", "x", False), ("big", "12345678901234567890123", True), ("big", "12345678901234567890124", False)],
)  # fmt: skip
def test_what_stands_in_the_data(path: str, value: str, stands: bool) -> None:
    assert (
        stands_in({"a": {"b": 1}, "c": ["w", "x"], "t": True, "n": None, "s": "7", "big": 12345678901234567890123}, {path: value}) is stands
    )


def test_one_execution_and_its_attempts_are_those_of_the_tables() -> None:
    read, changes, fold = commits(varied_lives(40, 0, 5)), Changes(), fold_of("events", 1)
    ones = [One(execution_id(number, 0)) for number in range(40)]
    for events, place in read:
        for index, event in enumerate(events):
            fold(changes, event, place, index)
        for one in ones:
            one.fold(events, place)
    assert {name: row for one in ones for name, row in one.executions.items()} == changes.executions
    assert {name: row for one in ones for name, row in one.attempts.items()} == changes.attempts


@pytest.mark.parametrize("where", [ExecutionFilter(), ExecutionFilter(state="completed")], ids=repr)
def test_a_request_that_comes_again_after_its_command_was_forgotten_replaces_its_row(where: ExecutionFilter) -> None:
    newest = Newest(where, 2, None)
    for nth, name in enumerate(["0" * 32 + "-0", "0" * 32 + "-0", "1" * 32 + "-0", "2" * 32 + "-0"]):
        asked = Requested(ExecutionId(name), "send", "send", 1, "on_demand", "default", Micros(BEGAN + nth))
        newest.fold([asked, Completed(asked.execution_id, 1)], Place(0, nth + 1, nth, BEGAN + nth))
    assert [str(row[0])[0] for row in newest.newest()] == ["2", "1"]
    assert newest.held == 2


def test_the_row_of_a_schedule_is_that_of_the_tables_and_needs_few_records() -> None:
    read, changes, fold = commits(list(scheduled_lives(60, 0, 5))), Changes(), fold_of("events", 1)
    for events, place in read:
        for index, event in enumerate(events):
            fold(changes, event, place, index)
    assert changes.statuses
    for job_id, row in changes.statuses.items():
        status = Status(str(job_id))
        for events, place in read:
            if status.is_in(b" ".join(map(wire.encode, events))):
                status.fold(events, place)
        assert status.row == row


def test_names_are_looked_for_in_a_record_while_there_are_few() -> None:
    status, record = Status("send"), b"a commit of others"
    for nth in range(LOOKED_FOR + 1):
        assert not status.is_in(record)
        asked = Requested(ExecutionId(f"{nth:032x}-0"), "send", "send", 1, "system", "default", Micros(BEGAN), trigger="run_now")
        status.fold([asked], Place(0, nth + 1, nth, BEGAN))
    assert status.is_in(record)


@pytest.mark.parametrize(
    ("one", "other", "before"),
    [
        (Moment(Micros(1)), Moment(Micros(2)), True),
        (Moment(Micros(2)), Moment(Micros(2)), False),
        (Moment(Micros(2), EventName("events", 3, 6, 1)), Moment(Micros(2), EventName("events", 3, 7, 0)), True),
        (Moment(Micros(2), EventName("events", 3, 7, 0)), Moment(Micros(2), EventName("events", 3, 7, 1)), True),
        (Moment(Micros(2), EventName("events", 3, 7, 1)), Moment(Micros(2), EventName("events", 3, 7)), True),
        (Moment(Micros(2), EventName("events", 3, 7)), Moment(Micros(2), EventName("events", 3, 7, 1)), False),
        (Moment(Micros(2), EventName("events", 3, 7)), Moment(Micros(2), EventName("events", 3, 7)), False),
        (Moment(Micros(2), EventName("events", 3, 6)), Moment(Micros(2), EventName("events", 4, 7)), False),
        (Moment(Micros(2), EventName("events", 3, 6)), Moment(Micros(3)), True),
    ],
)
def test_of_two_events_at_one_time_their_places_say_which_came_first(one: Moment, other: Moment, before: bool) -> None:
    assert one.is_before(other) is before
    assert not other.is_before(one) or not before
