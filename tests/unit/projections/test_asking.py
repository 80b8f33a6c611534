"""Cursors, limits and filters: what is refused before any server is asked. And the page that documents the tables."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from ledger.client.as_of import AsOf
from ledger.client.tables import Tables
from ledger.config import Settings
from ledger.core.ids import Micros
from ledger.core.moment import Moment
from ledger.core.refusal import Refused, Unfit
from projections import tables_doc
from projections.columns import METADATA
from projections.cursors import check_limit, cursor_of, read_cursor
from projections.filters import conditions
from projections.paging import instant_of
from projections.querying import Queries
from projections.reads import Reads
from projections.rows import ExecutionFilter
from projections.schedule_rows import BulkFilter, TickFilter
from projections.tables import TABLES

Ask = Callable[[Reads], Awaitable[object]]


def test_a_cursor_holds_the_key_of_the_last_row() -> None:
    assert read_cursor(cursor_of("executions", 17, "x-ü"), "executions", int, str) == [17, "x-ü"]


@pytest.mark.parametrize(
    "cursor",
    ["", "!", "ü", "AAAA", cursor_of("definitions", "a"), cursor_of("executions", "a"), cursor_of("executions", True, "x"), "x" * 5000],
)
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    with pytest.raises(Refused, match="invalid_cursor"):
        read_cursor(cursor, "executions", int, str)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_page_is_bounded(limit: int) -> None:
    with pytest.raises(Refused, match="invalid_limit"):
        check_limit(limit)


def test_a_state_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Refused, match="no state 'done'"):
        conditions(ExecutionFilter(state=("failed", "done")))


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(Unfit, match="from is '2026-01-01T00:00:00Z': give a datetime"):
        conditions(ExecutionFilter(from_="2026-01-01T00:00:00Z"))


def test_a_cursor_beyond_all_instants_is_refused() -> None:
    with pytest.raises(Unfit, match="invalid_cursor"):
        instant_of(2**62)


@pytest.mark.parametrize(
    ("ask", "there_are"),
    [
        (lambda reads: reads.definitions(kind="nope"), "system, scheduled, on_demand"),
        (lambda reads: reads.definitions(state="nope"), "declared, active, paused, retired"),
        (lambda reads: reads.executions(ExecutionFilter(state="nope")), "waiting, delayed, active"),
        (lambda reads: reads.ticks(TickFilter(outcome="nope")), "fired, skipped, missed"),
        (lambda reads: reads.statuses(last_state="nope"), "completed, failed"),
        (lambda reads: reads.statuses(last_state="active"), "completed, failed"),
        (lambda reads: reads.pauses(scope="nope"), "job, queue, tenant, key"),
        (lambda reads: reads.bulk_acts(kind="nope"), "cancel, retry, redrive, backfill"),
        (lambda reads: reads.bulks(BulkFilter(kind="nope")), "cancel, retry, redrive, backfill"),
        (lambda _: AsOf(Moment(Micros(0)), Settings(), Tables(Settings())).jobs(state="nope"), "declared, active, paused, retired"),
    ],
)
async def test_a_word_that_does_not_exist_is_refused_and_those_there_are_are_named(ask: Ask, there_are: str) -> None:
    with pytest.raises(Unfit, match=there_are) as error:
        await ask(Reads(Settings(), Queries(Settings(), None)))
    assert error.value.reason.startswith("unknown_")


@pytest.mark.parametrize("path", ["", "a" * 201, ".".join("a" * 21), "a\0"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(Refused, match="invalid_path"):
        conditions(ExecutionFilter(data={path: "1"}))


@pytest.mark.parametrize("number", ["12345678901234567890123", "0.10000000000000000555"])
def test_a_number_in_a_filter_keeps_its_digits(number: str) -> None:
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    [condition] = conditions(ExecutionFilter(data={"n": number}))
    assert number in condition.compile(dialect=dialect).params.values()


def test_a_text_that_is_none_is_refused() -> None:
    for where in (ExecutionFilter(data={"n": "\udcff"}), ExecutionFilter(labels={"n": "\udcff"})):
        with pytest.raises(Unfit, match="invalid_value"):
            conditions(where)


def test_values_of_users_are_parameters_and_never_part_of_the_statement() -> None:
    evil = "'; drop table x; --"
    where = ExecutionFilter(job=evil, tenant=evil, worker=evil, labels={evil: evil}, data={evil: evil})
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    compiled = [str(one.compile(dialect=dialect)) for one in conditions(where)]
    assert len(compiled) == 5
    assert all("drop" not in text for text in compiled)


def test_every_column_is_explained() -> None:
    assert set(TABLES) == set(METADATA.tables.values())
    assert all(column.doc for table in METADATA.tables.values() for column in table.columns)


def test_the_page_about_the_tables_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / "docs" / "tables.md"
    assert page.read_text() == tables_doc.document(), "run: python -m projections.tables_doc > docs/tables.md"
