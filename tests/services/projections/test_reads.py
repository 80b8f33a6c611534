"""What may be asked of the tables, and of the log about one execution."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import SecretStr

from ledger.config import Settings
from ledger.config.settings import Database
from ledger.core import execution, outcome
from ledger.core.ids import Micros, Token
from ledger.core.refusal import Misconfigured, Refused, Unavailable, Unfit
from projections import schema
from projections.reads import Reads, open_reads
from projections.rebuild import rebuild
from projections.rows import ExecutionFilter
from tests.services.conftest import Fresh, apply_and_open, run
from tests.services.projections.conftest import Logs
from tests.synthetic_log import BEGAN, WORKER, execution_id, registry_events, requested

START = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=BEGAN)


@pytest.fixture(scope="module")
def filled(fresh: Fresh) -> Iterator[Logs]:
    """Twelve executions in two partitions, an hour apart; the first one lived fully. No test changes them."""
    with fresh(4) as settings:
        schema.upgrade(settings)
        logs = Logs(settings, run(apply_and_open(settings)))
        run(fill(logs))
        yield logs


@pytest.fixture
def upgraded(filled: Logs) -> Settings:
    return filled.settings


async def fill(logs: Logs) -> None:
    logs.registry.fill(registry_events())
    for number in range(12):
        event = requested(
            number,
            number % 2,
            requested_at=Micros(BEGAN + number * 3_600_000_000),
            tenant=("acme", "quo'te")[number % 2],
            job_version=1 + number % 3,
            labels={"team": "a", "n": str(number)} if number < 6 else None,
            data=Raw(b'{"order":{"id":%d,"lines":["x","%d"]}}' % (number, number)),
        )
        logs.events(number % 2).commit([event])
    first = execution_id(0, 0)
    logs.events(0).commit(
        [execution.Started(first, 1, Token(5), WORKER, 3), requested(500, 0, requested_at=Micros(BEGAN + 99 * 3_600_000_000))]
    )
    logs.events(0).void([execution.Completed(first, 1)])
    logs.events(0).commit([execution.Progressed(first, 1, 50, "half")])
    logs.events(0).commit([execution.Completed(first, 1, 7, Raw(b'{"ok":true}'))])
    logs.events(1).commit([outcome.Rejected("no-1", "execution.submit.v1", "unknown_job", "there is none", "nowhere", "acme", "me")])
    await logs.send()
    await rebuild(logs.settings)


async def listed(reads: Reads, where: ExecutionFilter) -> list[int]:
    page = await reads.executions(where, limit=200)
    known: dict[str, int] = {execution_id(number, number % 2): number for number in [*range(12), 500]}
    return [known[one.execution_id] for one in page.items]


async def test_definitions_and_versions(filled: Logs, reads: Reads) -> None:
    page = await reads.definitions(limit=2)
    rest = await reads.definitions(cursor=page.next, limit=2)
    assert [one.job_id for one in (*page.items, *rest.items)] == ["send-invoice", "sync", "tidy"]
    assert rest.next is None
    assert [one.job_id for one in (await reads.definitions(kind="system", state="retired")).items] == ["sync"]
    job = await reads.definition("tidy")
    assert job is not None
    assert (job.state, job.current_version, job.exclusive_key, job.created_at.tzinfo) == ("active", 2, "job:tidy", UTC)
    assert [one.job_version for one in (await reads.versions("tidy")).items] == [2, 1]
    version = await reads.version("tidy", 1)
    assert version is not None
    assert (version.data, version.schedule, version.actor) == ({"deep": [1, None]}, {"every_ms": 60_000}, "ops")
    assert await reads.version("tidy", 9) is None
    assert await reads.definition("nobody") is None


async def test_one_execution_and_its_attempts(filled: Logs, reads: Reads) -> None:
    found = await reads.execution(execution_id(0, 0))
    assert found is not None
    assert (found.state, found.is_over, found.result, found.progress, found.run_ms) == ("completed", True, {"ok": True}, 50, 7)
    assert (found.requested_at, found.labels, found.data) == (START, {"team": "a", "n": "0"}, {"order": {"id": 0, "lines": ["x", "0"]}})
    (attempt,) = await reads.attempts(found.execution_id)
    assert (attempt.attempt, attempt.token, attempt.worker, attempt.state, attempt.run_ms) == (1, 5, WORKER, "completed", 7)
    assert await reads.execution("nothing") is None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ExecutionFilter(), [500, *reversed(range(12))]),
        (ExecutionFilter(job="send-invoice", state="completed"), [0]),
        (ExecutionFilter(state=("completed", "active")), [0]),
        (ExecutionFilter(tenant="quo'te"), [11, 9, 7, 5, 3, 1]),
        (ExecutionFilter(version=3, tenant="acme"), [8, 2]),
        (ExecutionFilter(worker=WORKER), [0]),
        (ExecutionFilter(labels={"team": "a", "n": "4"}), [4]),
        (ExecutionFilter(labels={"team": "b"}), []),
        (ExecutionFilter(data={"order.id": "3"}), [3]),
        (ExecutionFilter(data={"order.lines.1": "3"}), [3]),
        (ExecutionFilter(data={"order.lines": '["x","3"]'}), [3]),
        (ExecutionFilter(data={"order.nothing": "3"}), []),
        (ExecutionFilter(from_=START + timedelta(hours=2), to=START + timedelta(hours=4)), [3, 2]),
        (ExecutionFilter(job_name="x'; drop table job_executions; --"), []),
    ],
)
async def test_filters(filled: Logs, reads: Reads, where: ExecutionFilter, expected: list[int]) -> None:
    assert await listed(reads, where) == expected


@pytest.mark.parametrize("limit", [1, 5, 13])
async def test_pages_neither_repeat_nor_leave_out(filled: Logs, reads: Reads, limit: int) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await reads.executions(cursor=cursor, limit=limit)
        seen.extend(one.execution_id for one in page.items)
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 13
    assert seen == [one.execution_id for one in (await reads.executions(limit=200)).items]


async def test_what_cannot_be_asked_is_refused(reads: Reads) -> None:
    with pytest.raises(Refused, match="invalid_limit"):
        await reads.executions(limit=201)
    with pytest.raises(Refused, match="invalid_cursor"):
        await reads.definitions(cursor="nonsense")


@pytest.mark.parametrize(
    "where",
    [
        ExecutionFilter(tenant="a\0"),
        ExecutionFilter(tenant="\udcff"),
        ExecutionFilter(version=2**40),
        ExecutionFilter(version=10**20),
        ExecutionFilter(data={"a": r'"\u0000"'}),
    ],
)
async def test_what_no_column_could_hold_is_refused(filled: Logs, reads: Reads, where: ExecutionFilter) -> None:
    with pytest.raises(Unfit, match="invalid_value"):
        await reads.executions(where)


async def test_a_server_that_does_not_let_us_in_is_not_called_away(settings: Settings) -> None:
    url = settings.database.url.get_secret_value().rpartition("/")[0] + "/nosuch"
    elsewhere = settings.model_copy(update={"database": Database(url=SecretStr(url))})
    async with open_reads(elsewhere) as reads:
        with pytest.raises(Unavailable, match=r'does not let us in .*database "nosuch" does not exist'):
            await reads.definition("tidy")


async def test_history_comes_from_the_log_without_its_voids(filled: Logs, reads: Reads) -> None:
    history = await reads.history(execution_id(0, 0))
    assert [type(one.event) for one in history] == [execution.Requested, execution.Started, execution.Progressed, execution.Completed]
    first, *_, last = history
    assert (first.address.partition, first.address.seq, first.address.index, first.address.offset) == (0, 2, 0, 1)
    row = await reads.execution(execution_id(0, 0))
    assert row is not None
    assert last.address == row.address
    assert await reads.history("nothing") == []


async def test_what_became_of_a_command(filled: Logs, reads: Reads) -> None:
    refused = await reads.command("no-1")
    assert refused is not None
    assert (refused.outcome, refused.reason, refused.log, refused.tenant) == ("rejected", "unknown_job", "events", "acme")
    stale = await reads.command("c2")
    assert stale is not None
    assert (stale.outcome, stale.log) == ("stale", "registry")
    wanted = execution_id(3, 1)
    accepted = await reads.command(wanted[:-2])
    assert accepted is not None
    assert (accepted.outcome, accepted.execution_id, accepted.job_id) == ("accepted", wanted, "send-invoice")
    assert await reads.command("never-sent") is None
    assert await reads.execution_of_command(wanted[:-2], "acme") is None


async def test_positions_and_waiting_for_one(filled: Logs, reads: Reads) -> None:
    positions = {(row.log, row.log_partition): row for row in await reads.positions()}
    assert {place: row.log_seq for place, row in positions.items()} == filled.last
    assert positions["events", 0].voids == 1
    last = filled.events(0).seq
    assert await reads.wait_for("events", 0, last, 5)
    assert not await reads.wait_for("events", 0, last + 1, 0.2)


async def test_a_schema_without_tables_and_a_database_that_is_away(settings: Settings) -> None:
    async with open_reads(settings) as reads:
        with pytest.raises(Misconfigured, match="jobledger db upgrade"):
            await reads.positions()
    away = settings.model_copy(update={"database": settings.database.model_validate({"url": "postgresql://u:secret@127.0.0.1:1/x"})})
    async with asyncio.timeout(10), open_reads(away) as reads:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as raised:
            await reads.positions()
    assert "secret" not in str(raised.value)


async def test_listing_uses_an_index(filled: Logs, sql: Connection[TupleRow]) -> None:
    """Keyset paging reads as many rows as it gives, however many there are."""
    sql.execute("SET enable_seqscan = off")
    plan = sql.execute("EXPLAIN SELECT * FROM job_executions ORDER BY requested_at DESC, execution_id DESC LIMIT 51").fetchall()
    assert any("job_executions_requested" in row[0] for row in plan)


@pytest.mark.parametrize("states", [("lost",), ("failed", "timed_out", "lost")])
async def test_the_newest_that_ended_badly_are_not_looked_for_among_all(
    filled: Logs, sql: Connection[TupleRow], states: tuple[str, ...]
) -> None:
    """The night of failures may be months ago."""
    sql.execute("SET enable_seqscan = off; SET enable_sort = off")
    query = "EXPLAIN SELECT * FROM job_executions WHERE state IN ({}) ORDER BY requested_at DESC, execution_id DESC LIMIT 51"
    plan = sql.execute(query.format(", ".join(["%s"] * len(states))).encode(), states).fetchall()
    assert any("job_executions_ended_badly" in row[0] for row in plan), plan
