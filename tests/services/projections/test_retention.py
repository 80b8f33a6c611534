"""Rows that are not kept any more are neither missing nor differences; all others are still looked after."""

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.config.settings import Keep
from ledger.core import execution
from ledger.core.ids import Micros, Token
from projections.connecting import connect
from projections.reads import Reads
from projections.rebuild import Wanted, rebuild
from projections.retention import Retention, keep_ms
from projections.sweeping import USUAL, Sizes
from tests.services.projections.conftest import Logs, caught_up, consuming, differences, until
from tests.services.projections.test_consumer import fill
from tests.synthetic_log import BEGAN, WORKER, execution_id, requested

UNCHECKED = Wanted(check=False)
TINY = Sizes(events_a_write=20, records_at_once=2, most_held=20, events_a_checkpoint=40)
ENDED = "SELECT state, count(*) FROM job_executions WHERE finished_at IS NOT NULL GROUP BY 1"


def counts(sql: Connection[TupleRow]) -> dict[str, int]:
    return {str(state): int(count) for state, count in sql.execute(ENDED)}


@pytest.fixture
def keeping(upgraded: Settings) -> Settings:
    """The log's events are weeks old."""
    return upgraded.model_copy(update={"keep": Keep(completed="1h", failed="1h", lost="3650d")})


async def test_what_is_past_its_time_is_purged_and_verify_knows(
    logs: Logs, reads: Reads, sql: Connection[TupleRow], keeping: Settings
) -> None:
    fill(logs, 40)
    await logs.send()
    await rebuild(logs.settings, wanted=UNCHECKED)
    before = counts(sql)
    assert before["completed"] and before["failed"] and before["lost"]
    (attempts,) = sql.execute("SELECT count(*) FROM execution_attempts").fetchone() or (0,)
    async with consuming(keeping):

        async def purged() -> bool:
            return not counts(sql).keys() & {"completed", "failed"}

        await until(purged)
    assert counts(sql) == {state: count for state, count in before.items() if state not in ("completed", "failed")}
    (left,) = sql.execute("SELECT count(*) FROM execution_attempts").fetchone() or (0,)
    orphans = "SELECT count(*) FROM execution_attempts a WHERE NOT EXISTS (SELECT FROM job_executions e USING (execution_id))"
    assert left < attempts and sql.execute(
        orphans.replace(" USING (execution_id)", " WHERE e.execution_id = a.execution_id")
    ).fetchone() == (0,)
    for sizes in (USUAL, TINY):
        assert await differences(keeping, sizes) == []

    lost = sql.execute("DELETE FROM job_executions WHERE state = 'lost' AND attempt = 1 RETURNING execution_id").fetchall()
    sql.execute(
        "DELETE FROM execution_attempts WHERE execution_id = (SELECT min(execution_id) FROM job_executions WHERE state = 'timed_out')"
    )
    sql.execute(
        "INSERT INTO execution_attempts SELECT execution_id, 77, token, worker, state, started_at, finished_at, run_ms, error_type,"
        " error_message, log_partition, log_seq, log_index, log_offset FROM execution_attempts LIMIT 1"
    )
    for sizes in (USUAL, TINY):
        found = await differences(keeping, sizes)
        assert {one.key for one in found if one.table == "job_executions"} == {name for (name,) in lost}
        assert [one.expected for one in found if one.key[1] == 77] == ["no row"]
        assert any(one.table == "execution_attempts" and one.found == "no row" for one in found)


async def test_a_rebuild_brings_back_what_is_kept_and_no_more(logs: Logs, sql: Connection[TupleRow], keeping: Settings) -> None:
    fill(logs, 40)
    await logs.send()
    await rebuild(logs.settings, wanted=UNCHECKED)
    before = counts(sql)
    await rebuild(keeping, sizes=Sizes(events_a_write=20, records_at_once=2, events_a_checkpoint=40))
    assert counts(sql).keys() == before.keys() - {"completed", "failed"}
    assert await differences(keeping, TINY) == []
    await rebuild(logs.settings, wanted=UNCHECKED)
    assert counts(sql) == before
    assert sql.execute("SELECT count(*) FROM retention_horizons").fetchone() == (0,)
    assert await differences(keeping) == []


async def test_a_purge_is_bounded_and_its_horizon_never_goes_back(logs: Logs, sql: Connection[TupleRow], keeping: Settings) -> None:
    fill(logs, 40)
    await logs.send()
    await rebuild(logs.settings, wanted=UNCHECKED)
    retention = Retention(keeping.database.table_schema, "tables")
    with connect(keeping) as connection:
        assert retention.purge(connection, keep_ms(keeping), most=3) == 3
        first = retention.read(connection)
        retention.advance(connection, dict.fromkeys(first, 10**12))
        assert retention.read(connection) == first
    assert await differences(keeping) == []


async def test_attempts_of_a_former_life_went_with_it(logs: Logs, reads: Reads, sql: Connection[TupleRow], keeping: Settings) -> None:
    """An id came again after its first execution was removed. Where the log is cut says nothing of what is right."""
    one, log = execution_id(1, 0), logs.events(0)
    log.commit([requested(1, 0), execution.Started(one, 1, Token(1), WORKER)])
    log.commit([execution.AttemptFailed(one, 1, "failed", "E", "no", Micros(BEGAN), 10), execution.Due(one)])
    log.commit([execution.Started(one, 2, Token(2), WORKER), execution.Completed(one, 2, 10)])
    await logs.send()
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    with connect(keeping) as connection:
        assert Retention(keeping.database.table_schema, "tables").purge(connection, keep_ms(keeping)) == 1
    log.commit([requested(1, 0), execution.Started(one, 1, Token(3), WORKER)])
    await logs.send()
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    one_by_one = Sizes(events_a_write=1, records_at_once=1)
    for sizes in (USUAL, one_by_one):
        assert await differences(keeping, sizes) == []
        await rebuild(keeping, sizes=sizes)
        assert await differences(keeping, sizes) == []

    sql.execute("DELETE FROM execution_attempts WHERE attempt = 1")
    assert [found.key for found in await differences(keeping)] == [(one, 1)]
