"""A projection of one's own has what ours have: the example's, cost per tenant and day."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier
from sqlalchemy import Column, Index, SmallInteger

from ledger.config import Settings
from ledger.core import execution
from ledger.core.ids import Micros, Token
from ledger.core.refusal import Conflict, Misconfigured, Refused
from ledger.core.wire import Event
from projections import consumer
from projections.connecting import connect
from projections.differences import Difference
from projections.known import known, named
from projections.own import Own, bigint, own_projection, own_table, text
from projections.projection import Projection
from projections.reads import Reads
from projections.rebuild import Wanted, rebuild
from projections.swapping import Swap
from projections.sweeping import USUAL, Sizes
from projections.verify import Verified, verify
from tests.services.projections.conftest import DEADLINE, Logs, until
from tests.services.projections.test_consumer import fill
from tests.synthetic_log import BEGAN, WORKER, execution_id, requested

TINY = Sizes(events_a_write=5, records_at_once=1, most_held=3, events_a_checkpoint=10)
DAY = 86_400_000_000


@pytest.fixture
def costs(upgraded: Settings, monkeypatch: pytest.MonkeyPatch) -> Projection:
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "examples" / "costs")
    return named(upgraded.model_copy(update={"projections": ["costs:costs"]}), "costs")


async def differences(settings: Settings, projection: Projection, sizes: Sizes = USUAL) -> list[Difference]:
    return [one async for one in verify(settings, Verified(), projection=projection, sizes=sizes)]


async def followed(logs: Logs, reads: Reads, *projections: Projection, strict: bool = True) -> None:
    """Until the last of them holds both logs."""
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run_all(logs.settings, projections, stop, lambda progress: None, strict=strict))

    async def there() -> bool:
        with suppress(asyncio.InvalidStateError):
            task.result()
        positions = {(row.log, row.log_partition): row.log_seq for row in await reads.positions(projections[-1].name)}
        return all(positions.get(place, 0) >= seq for place, seq in logs.last.items())

    try:
        await until(there)
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE)


def life(number: int, partition: int, tenant: str | None, run_ms: int) -> list[Event]:
    named = execution_id(number, partition)
    return [
        requested(number, partition, tenant=tenant),
        execution.Started(named, 1, Token(1), WORKER),
        execution.AttemptFailed(named, 1, "failed", "E", "no", Micros(BEGAN), 1000),
        execution.Due(named),
        execution.Started(named, 2, Token(2), WORKER),
        execution.Completed(named, 2, run_ms),
    ]


async def test_costs_add_up_over_partitions_and_days(logs: Logs, reads: Reads, sql: Connection[TupleRow], costs: Projection) -> None:
    for partition in range(4):
        logs.events(partition).commit(life(1, partition, "acme", 2000))
        logs.events(partition).commit([requested(2, partition, tenant="acme")])
    logs.events(0).commit(life(3, 0, None, 500))
    logs.events(0).commit([requested(5, 0, tenant="zoo"), execution.Cancelled(execution_id(5, 0), "asked")])  # before it began: no attempt
    logs.events(0).at += DAY
    logs.events(0).commit(life(4, 0, "acme", 500))
    await logs.send()
    await followed(logs, reads, costs)
    found = sql.execute("SELECT tenant, day, attempts, run_ms, micro_euros FROM cost_per_tenant_and_day ORDER BY day, tenant").fetchall()
    assert found == [("", "2026-09-21", 2, 1500, 18), ("acme", "2026-09-21", 8, 12_000, 144), ("acme", "2026-09-22", 2, 1500, 18)]
    assert sql.execute("SELECT count(*) FROM cost_under_way").fetchone() == (4,)
    assert await differences(logs.settings, costs) == []


async def test_it_is_rebuilt_verified_and_swapped_as_ours_are(
    logs: Logs, reads: Reads, sql: Connection[TupleRow], costs: Projection
) -> None:
    fill(logs, 30)
    await logs.send()
    await followed(logs, reads, costs)
    for sizes in (USUAL, TINY):
        assert await differences(logs.settings, costs, sizes) == []
    before = sql.execute("SELECT * FROM cost_per_tenant_and_day ORDER BY 1, 2").fetchall()
    sql.execute("UPDATE cost_per_day SET run_ms = run_ms + 1 WHERE log_partition = 2 AND tenant = 'acme'")
    sql.execute("DELETE FROM cost_under_way WHERE execution_id = (SELECT min(execution_id) FROM cost_under_way)")
    found = await differences(logs.settings, costs, TINY)
    assert {(one.table, one.column) for one in found} == {("cost_per_day", "run_ms"), ("cost_under_way", None)}
    await rebuild(logs.settings, sizes=TINY, projection=costs)
    assert await differences(logs.settings, costs) == []
    assert sql.execute("SELECT * FROM cost_per_tenant_and_day ORDER BY 1, 2").fetchall() == before
    logs.events(1).commit(life(900, 1, "acme", 70))
    await logs.send()
    await followed(logs, reads, costs)
    assert await differences(logs.settings, costs) == []


async def test_a_higher_version_is_built_beside(logs: Logs, reads: Reads, sql: Connection[TupleRow]) -> None:
    def fold(rows: Own, event: Event, at: Micros) -> None:
        if isinstance(event, execution.Requested):
            rows.put(first, job_id=event.job_id)

    first = own_table("asked", text("job_id", "a job that was asked for", required=True), key=("job_id",))
    fill(logs, 5)
    await logs.send()
    views = {"many": "SELECT job_id FROM {schema}.asked", "a_few": "SELECT job_id FROM {schema}.many LIMIT 3"}
    await followed(logs, reads, own_projection("mine", version=1, tables=[first], fold=fold, views=views))

    first = own_table("asked", text("job_id", "the job", required=True), text("note", "new"), key=("job_id",))
    unraised = own_projection("mine", version=1, tables=[first], fold=fold)
    with pytest.raises(Conflict, match="another shape than version 1"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event(), projection=unraised), DEADLINE)
    raised = own_projection("mine", version=2, tables=[first], fold=fold, views={"few": "SELECT job_id FROM {schema}.asked LIMIT 3"})
    with pytest.raises(Conflict, match="rebuild mine"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event(), projection=raised), DEADLINE)
    await rebuild(logs.settings, projection=raised)
    logs.events(1).commit(life(900, 1, "acme", 70))
    await logs.send()
    await followed(logs, reads, raised)
    assert await differences(logs.settings, raised) == []
    assert sql.execute("SELECT DISTINCT note FROM asked").fetchall() == [(None,)]
    there = [sql.execute("SELECT to_regclass(%s) IS NOT NULL", (view,)).fetchone() for view in ("many", "a_few", "few")]
    assert there == [(False,), (False,), (True,)]


def counting(version: int, *names: str) -> Projection:
    """How often each job was asked for, in as many tables."""
    tables = [
        own_table(name, text("job_id", "the job", required=True), bigint("n", "times", required=True), key=("job_id",)) for name in names
    ]

    def fold(rows: Own, event: Event, at: Micros) -> None:
        if isinstance(event, execution.Requested):
            for table in tables:
                before = rows.get(table, event.job_id)
                rows.put(table, job_id=event.job_id, n=before.number("n") + 1 if before else 1)

    return own_projection("counting", version=version, tables=tables, fold=fold)


async def test_versions_with_other_tables_change_places_whole(logs: Logs, reads: Reads, sql: Connection[TupleRow]) -> None:
    """Each finds all of its tables again, with the rows that its position says, and none of the other's is left behind."""
    first, second = counting(1, "asked", "asked_before"), counting(2, "asked", "asked_since")

    def there() -> set[str]:
        query = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^asked'"
        return {str(name) for (name,) in sql.execute(query)}

    fill(logs, 5)
    await logs.send()
    await followed(logs, reads, first)
    await rebuild(logs.settings, projection=second, wanted=Wanted(keep=True))
    assert there() == {"asked", "asked_since", "asked_old", "asked_before_old"}
    with connect(logs.settings) as connection:
        for number, one, left in ((900, first, "asked_since_old"), (901, second, "asked_before_old")):
            swap = Swap(connection, logs.settings.database.table_schema, one)
            swap.take_back()
            assert there() == {*(form.table for form in one.forms), "asked_old", left}
            logs.events(1).commit([requested(number, 1)])
            await logs.send()
            await followed(logs, reads, one)
            assert await differences(logs.settings, one) == []
        assert sorted(swap.drop()) == ["asked_before_old", "asked_old"]
    await rebuild(logs.settings, projection=counting(3, "asked"))
    assert there() == {"asked"}


async def test_a_swap_waits_for_who_reads_a_view_and_keeps_nobody_from_the_tables_meanwhile(
    logs: Logs, reads: Reads, sql: Connection[TupleRow]
) -> None:
    """Who reads has the view before its tables: with tables in hand the swap and he would wait for each other."""
    few = {"few": "SELECT job_id FROM {schema}.asked LIMIT 3"}
    one = replace(counting(1, "asked"), views=few)
    fill(logs, 5)
    await logs.send()
    await followed(logs, reads, one)

    async def waits() -> bool:
        return sql.execute("SELECT FROM pg_locks WHERE relation = to_regclass('few') AND NOT granted").fetchone() is not None

    with sql.transaction():
        sql.execute("COMMENT ON VIEW few IS 'mine for a moment'")
        rebuilding = asyncio.create_task(rebuild(logs.settings, projection=one))
        await until(waits)
        assert sql.execute("SELECT count(*) > 0 FROM asked").fetchone() == (True,)
    assert (await rebuilding).phase == "swapped"
    assert sql.execute("SELECT count(*) FROM few").fetchone() == (3,)


async def test_one_that_fails_does_not_keep_ours(logs: Logs, reads: Reads) -> None:
    def fold(rows: Own, event: Event, at: Micros) -> None:
        raise RuntimeError("a bug of its author's")

    broken = own_projection("broken", version=1, tables=[own_table("broken_rows", text("a", "a", required=True), key=("a",))], fold=fold)
    fill(logs, 5)
    await logs.send()
    ours = known(logs.settings)["tables"]
    await followed(logs, reads, broken, ours, strict=False)
    with pytest.raises(RuntimeError, match="its author"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event(), projection=broken), DEADLINE)


async def test_a_table_with_a_word_of_sql_as_its_name_is_made_and_rebuilt_with_its_index(logs: Logs, reads: Reads) -> None:
    def fold(rows: Own, event: Event, at: Micros) -> None: ...

    order = own_table("order", text("group", "a", required=True), key=("group",))
    Index("order_group", order.c.group)
    orders = own_projection("orders", version=1, tables=[order], fold=fold)
    with pytest.raises(Misconfigured, match="jobledger projections run orders"):
        await differences(logs.settings, orders)
    await followed(logs, reads, orders)
    assert (await rebuild(logs.settings, projection=orders)).phase == "swapped"


async def test_a_table_that_is_gone_is_not_made_empty_beside_the_sums_of_others(
    logs: Logs, reads: Reads, sql: Connection[TupleRow], costs: Projection
) -> None:
    logs.fill(0, life(1, 0, "a", 5))
    await logs.send()
    await followed(logs, reads, costs)
    sql.execute(SQL("DROP TABLE {} CASCADE").format(Identifier(costs.forms[0].table)))
    with pytest.raises(Conflict, match="jobledger projections rebuild costs"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event(), projection=costs), DEADLINE)


def test_two_projections_with_one_table_or_one_index_are_refused(
    upgraded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "twins.py").write_text(
        "from projections.own import own_projection, own_table, text\n"
        "from sqlalchemy import Index\n"
        "def one(name, table, index):\n"
        "    table = own_table(table, text('a', 'a', required=True), Index(index, 'a'), key=('a',))\n"
        "    return own_projection(name, version=1, tables=[table], fold=lambda rows, event, at: None)\n"
        "first, second, third = one('first', 'daily', 'by_a'), one('second', 'daily', 'with_a'), one('third', 'weekly', 'by_a')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for other, both in (("second", "daily, daily_pkey"), ("third", "by_a")):
        with pytest.raises(Misconfigured, match=f"both have {both}:"):
            known(upgraded.model_copy(update={"projections": ["twins:first", f"twins:{other}"]}))


def test_names_that_cannot_be_are_refused(upgraded: Settings) -> None:
    def fold(rows: Own, event: Event, at: Micros) -> None: ...

    table = own_table("mine", text("a", "a", required=True), key=("a",))
    for name in ("tables", "Mine", "mine_old", "jobs", "schema_migrations", "projection_positions"):
        with pytest.raises(Misconfigured, match=name):
            own_projection(name, version=1, tables=[table], fold=fold)
    for index in (Index("a" * 41, "a"), Index("mine_a", "a", unique=True), Index("job_executions_requested", "a"), Index("mine", "a")):
        indexed = own_table("mine", text("a", "a", required=True), index, key=("a",))
        with pytest.raises(Misconfigured, match=str(index.name)):
            own_projection("mine", version=1, tables=[indexed], fold=fold)
    small = own_table("mine", text("a", "a", required=True), Column("n", SmallInteger()), key=("a",))
    with pytest.raises(Misconfigured, match="'n'"):
        own_projection("mine", version=1, tables=[small], fold=fold)
    with pytest.raises(Refused, match="the projections are tables"):
        named(upgraded, "mine")
    with pytest.raises(Misconfigured, match="no module 'nowhere'"):
        known(upgraded.model_copy(update={"projections": ["nowhere:costs"]}))
