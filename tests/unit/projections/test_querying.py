"""What Postgres says to a question, in the words of who asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import psycopg
import pytest
from sqlalchemy import select

from ledger.config import Settings
from ledger.core.refusal import LedgerError, Misconfigured, Refused, Unavailable
from projections import tables
from projections.querying import Pool, Queries, open_queries


class Answering:
    """A pool and its connection in one: whatever is asked raises this."""

    def __init__(self, error: psycopg.Error) -> None:
        self.error = error

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Answering"]:
        yield self

    async def execute(self, query: bytes, parameters: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (psycopg.OperationalError("gone"), Unavailable, "does not answer"),
        (psycopg.errors.UndefinedTable("no relation"), Misconfigured, "jobledger db upgrade"),
        (
            psycopg.errors.InsufficientPrivilege("permission denied for table job_executions"),
            Misconfigured,
            "denied for table job_executions",
        ),
    ],
)
async def test_what_goes_wrong_is_told_with_what_to_do(error: psycopg.Error, expected: type[LedgerError], words: str) -> None:
    queries = Queries(Settings.model_validate({}), cast("Pool", Answering(error)))
    with pytest.raises(expected, match=words):
        await queries.rows(select(tables.job_executions.c.state), lambda row: row)


async def test_who_asks_while_the_client_is_closed_is_told_that_and_not_that_postgres_is_away() -> None:
    async with open_queries(Settings.model_validate({})) as queries:
        pass
    with pytest.raises(Refused, match="closed"):
        await queries.rows(select(tables.job_executions.c.state), lambda row: row)
