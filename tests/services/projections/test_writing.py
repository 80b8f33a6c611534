"""Rows and position in one transaction: written once however often it is tried, in pieces of any size, and never by two."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import orjson
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core import execution
from ledger.core.chain import Head
from ledger.core.ids import Token
from ledger.core.wire import Event
from projections.builtin import TABLES
from projections.comparing import Comparison, Pair
from projections.connecting import connect
from projections.folds import fold_of
from projections.memory import Memory
from projections.patches import Contradiction
from projections.positions import Applied, Duplicate, Gap
from projections.tail import Reached, Stretch, Tail
from projections.writing import Writer
from tests.synthetic_log import (
    WORKER,
    SyntheticLog,
    execution_id,
    pause_events,
    registry_events,
    requested,
    scheduled_lives,
    varied_lives,
)
from tests.unit.projections.test_tail import records

SOURCE = ("events", 0)


@pytest.fixture
def writer(upgraded: Settings) -> Iterator[Writer]:
    with connect(upgraded) as connection:
        writer = Writer(connection, upgraded.database.table_schema)
        writer.positions.open(connection, SOURCE)
        yield writer


def log_with(events: Sequence[Event], per_commit: int) -> SyntheticLog:
    log = SyntheticLog(*SOURCE)
    log.open("L", 4)
    log.fill(events, per_commit)
    return log


def tail() -> Tail:
    return Tail("L", Reached(Head(*SOURCE)), fold_of("events", 4))


def stretches(log: SyntheticLog, commits: int) -> list[Stretch]:
    """The log in pieces of so many commits."""
    found, following = [], tail()
    for start in range(0, len(log.records), commits):
        following.feed(records(log)[start : start + commits])
        piece = following.take()
        assert piece is not None, following.broken
        found.append(piece)
    return found


def found_differences(sql: Connection[TupleRow], settings: Settings, log: SyntheticLog) -> list[Pair]:
    """The tables compared with the whole log folded at once."""
    following = tail()
    following.feed(records(log))
    rows = {form.table: sum(bool(row) for row in rows_of(following.changes).values()) for form, rows_of in TABLES.tables}
    there = {form.table: sql.execute(f"SELECT count(*) FROM {form.table}".encode()).fetchone() for form in TABLES.forms}
    assert there == {table: (count,) for table, count in rows.items()}
    with connect(settings) as connection:
        compared = Comparison(connection, settings.database.table_schema, TABLES).compare(following.changes)
    return [pair for one in compared for pair in one.pairs]


@pytest.mark.parametrize("commits", [1, 2, 5, 1000])
def test_pieces_of_any_size_written_twice_lead_to_the_rows_of_the_log(
    writer: Writer, sql: Connection[TupleRow], upgraded: Settings, commits: int
) -> None:
    log = log_with([*varied_lives(250, 0, commits), *scheduled_lives(60, 0, commits)], 17)
    for piece in stretches(log, commits):
        assert writer.apply([piece]) == {SOURCE: Applied()}
        assert isinstance(writer.apply([piece])[SOURCE], Duplicate)
    assert found_differences(sql, upgraded, log) == []


@pytest.mark.parametrize("log", ["events", "registry"])
def test_what_a_fold_remembers_stands_in_the_tables(writer: Writer, log: str) -> None:
    """So it makes no difference where another consumer takes the partition over."""
    source, memory = (log, 0), Memory()
    events: list[Event] = [*registry_events(), *pause_events()] if log == "registry" else scheduled_lives(40, 0, 7)
    made = SyntheticLog(*source)
    made.fill(events, 7)
    following = Tail("L", Reached(Head(*source)), fold_of(log, 4, memory))
    assert writer.open(source)[1] == Memory()
    for record in records(made):
        following.feed([record])
        piece = following.take()
        assert piece is not None, following.broken
        writer.apply([piece])
        assert plain(writer.open(source)[1]) == plain(memory)


def plain(memory: Memory) -> Memory:
    """Documents as Python has them: Postgres keeps them in a form of its own."""
    acts = {key: [orjson.loads(value) if isinstance(value, bytes) else value for value in row] for key, row in memory.bulk_acts.items()}
    return replace(memory, bulk_acts=acts)


def test_a_piece_that_does_not_follow_is_not_written(writer: Writer, sql: Connection[TupleRow]) -> None:
    first, second, third = stretches(log_with(varied_lives(40, 0, 1), 60), 1)[:3]
    assert isinstance(writer.apply([second])[SOURCE], Gap)
    writer.apply([first])
    assert isinstance(writer.apply([third])[SOURCE], Gap)
    assert sql.execute("SELECT count(*) FROM job_executions").fetchone() == (0,)


def test_a_request_that_comes_again_replaces_the_row(writer: Writer, sql: Connection[TupleRow], upgraded: Settings) -> None:
    """Control forgets executions after a while; the same command then asks for the same execution."""
    named = execution_id(1, 0)
    life: list[Event] = [requested(1, 0), execution.Started(named, 1, Token(1), WORKER), execution.Completed(named, 1)]
    log = log_with([*life, requested(2, 0), *life[:1]], 1)
    for piece in stretches(log, 2):
        assert writer.apply([piece]) == {SOURCE: Applied()}
    assert found_differences(sql, upgraded, log) == []
    assert sql.execute("SELECT state FROM job_executions WHERE execution_id = %s", (named,)).fetchone() == ("waiting",)


def test_a_patch_without_its_row_writes_nothing_and_names_the_row(writer: Writer, sql: Connection[TupleRow]) -> None:
    opening, commit = stretches(log_with([execution.Started(execution_id(1, 0), 1, Token(1), WORKER)], 1), 1)
    writer.apply([opening])
    with pytest.raises(Contradiction, match=execution_id(1, 0)):
        writer.apply([commit])
    assert sql.execute("SELECT log_seq FROM projection_positions").fetchone() == (1,)


def test_a_zombie_waits_for_the_one_that_writes_and_then_does_nothing(
    writer: Writer, sql: Connection[TupleRow], upgraded: Settings
) -> None:
    log = log_with(varied_lives(40, 0, 1), 500)
    (piece,) = stretches(log, 1000)
    outcomes: list[object] = []

    def zombie() -> None:
        with connect(upgraded) as connection:
            outcomes.append(Writer(connection, upgraded.database.table_schema).apply([piece])[SOURCE])

    with writer.connection.transaction():
        assert writer.apply([piece]) == {SOURCE: Applied()}  # inside: not committed yet
        other = threading.Thread(target=zombie)
        other.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        for _ in range(1000):
            if sql.execute(waiting).fetchone() != (0,):
                break
            other.join(0.01)
        assert outcomes == []
    other.join(10)
    assert [type(one) for one in outcomes] == [Duplicate]
    assert found_differences(sql, upgraded, log) == []
