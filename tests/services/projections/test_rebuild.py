"""New tables beside the ones in use, and the moment they take over."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier

from ledger.config import Settings
from ledger.core import execution
from ledger.core.ids import Token
from ledger.core.refusal import Conflict, Refused
from ledger.core.wire import Event
from ledger.crashpoints import CRASH_AT, EXIT_KILLED
from projections import consumer
from projections.builtin import TABLES
from projections.connecting import connect
from projections.reads import Reads
from projections.rebuild import Differs, Progress, Wanted, check_version, rebuild
from projections.swapping import Swap
from projections.sweeping import Sizes
from tests.services.projections.conftest import DEADLINE, Logs, caught_up, consuming, differences
from tests.services.projections.test_consumer import ROOT, config, environment_of, fill
from tests.synthetic_log import WORKER, execution_id, requested

__all__ = ["config"]

SMALL = Sizes(events_a_write=30, records_at_once=2, events_a_checkpoint=60)
HOW = """
import asyncio, os
from ledger.config.loading import load_settings
from projections.rebuild import Wanted, rebuild
from projections.sweeping import Sizes
"""


SIZES = (
    SMALL,
    Sizes(30, 2, most_held=3),
    pytest.param(Sizes(events_a_write=1, records_at_once=1), marks=pytest.mark.slow),
)
UNCHECKED = Wanted(check=False)


def tables_beside(sql: Connection[TupleRow]) -> set[str]:
    query = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
    query += " AND relname ~ '_(next|held|old|aside)$'"
    return {str(name) for (name,) in sql.execute(query)}


def positions(sql: Connection[TupleRow]) -> set[tuple[str, int]]:
    return set(sql.execute("SELECT DISTINCT projection, version FROM projection_positions").fetchall())


async def test_a_rebuild_under_a_running_consumer(logs: Logs, reads: Reads, sql: Connection[TupleRow]) -> None:
    """Readers keep their tables, grants stay, and the consumer goes on where the new tables stand."""
    fill(logs, 60)
    await logs.send()
    role = f"{logs.settings.prefix}_clerk"
    sql.execute("GRANT SELECT ON job_executions, jobs TO PUBLIC")
    sql.execute(SQL("CREATE ROLE {}").format(Identifier(role)))
    sql.execute(SQL("GRANT UPDATE (state) ON job_executions TO {} WITH GRANT OPTION").format(Identifier(role)))
    async with consuming(logs.settings):
        await caught_up(reads, logs)
        before = len((await reads.executions(limit=200)).items)
        phases: list[str] = []

        def report(progress: Progress) -> None:
            phases.append(progress.phase)
            if progress.phase == "indexing":
                sql.execute("UPDATE job_executions SET state = 'lost'")  # what was wrong with the old tables goes with them

        await rebuild(logs.settings, report)
        assert len((await reads.executions(limit=200)).items) == before
        for partition in range(4):
            logs.events(partition).commit([requested(7000 + partition, partition)])
        await logs.send()
        await caught_up(reads, logs)
    assert list(dict.fromkeys(phases)) == ["folding", "indexing", "verifying", "swapped"]
    assert await differences(logs.settings) == []
    assert sql.execute("SELECT has_table_privilege('public', 'job_executions', 'SELECT')").fetchone() == (True,)
    assert sql.execute("SELECT has_table_privilege('public', 'jobs', 'SELECT')").fetchone() == (True,)
    query = "SELECT has_column_privilege(%s, 'job_executions', 'state', 'UPDATE WITH GRANT OPTION')"
    assert sql.execute(query, (role,)).fetchone() == (True,)
    sql.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(Identifier(role)))
    assert (tables_beside(sql), positions(sql)) == (set(), {("tables", TABLES.version)})


@pytest.mark.parametrize("sizes", SIZES)
async def test_a_rebuild_in_writes_of_any_size(logs: Logs, sizes: Sizes) -> None:
    """Also where so many executions are under way that they cannot be held back, and where one was asked for twice."""
    fill(logs, 20)
    logs.events(2).void([requested(666, 2)])
    ended = execution_id(900, 3)
    life: list[Event] = [requested(900, 3), execution.Started(ended, 1, Token(1), WORKER), execution.Completed(ended, 1)]
    for event in [*life, *life[:1]]:
        logs.events(3).commit([event])
    await logs.send()
    done = await rebuild(logs.settings, sizes=sizes)
    assert done.records == sum(len(log.records) for log in logs.of.values())
    assert await differences(logs.settings) == []
    assert await differences(logs.settings, sizes) == []


POINTS = (
    "rebuild:before-checkpoint:1",
    "rebuild:after-checkpoint:2",
    "rebuild:after-checkpoint:4",
    "rebuild:before-keys",
    "rebuild:before-indexes",
    "rebuild:before-swap",
    "rebuild:before-swap-commit",
)


async def dying(settings: Settings, config: Path, point: str) -> int:
    """A rebuild in small pieces in a process of its own."""
    environment = {**environment_of(settings), "JOBLEDGER_CONFIG": str(config), CRASH_AT: point}
    act = f"{HOW}asyncio.run(rebuild(load_settings(None, os.environ), sizes={SMALL!r}, wanted=Wanted(keep=True)))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", act, cwd=ROOT, env=environment)
    return await asyncio.wait_for(process.wait(), DEADLINE)


@pytest.mark.parametrize("points", [POINTS[2::4], pytest.param(POINTS, marks=pytest.mark.slow)], ids=["some", "all"])
async def test_it_dies_at_each_step_and_the_next_one_goes_on(
    logs: Logs, reads: Reads, sql: Connection[TupleRow], config: Path, points: Sequence[str]
) -> None:
    """While the consumer follows; readers have their tables all the time, and what was folded before a checkpoint is not folded again."""
    fill(logs, 50)
    await logs.send()
    of = sum(len(log.records) for log in logs.of.values())
    async with consuming(logs.settings):
        await caught_up(reads, logs)
        rows = sql.execute("SELECT count(*) FROM job_executions").fetchone()
        for point in points:
            assert await dying(logs.settings, config, point) == EXIT_KILLED, point
            assert sql.execute("SELECT count(*) FROM job_executions").fetchone() == rows
            assert positions(sql) == {("tables", TABLES.version), ("tables_next", TABLES.version)}
        logs.events(0).commit([requested(8000, 0)])
        await logs.send()
        done = await rebuild(logs.settings, sizes=SMALL, wanted=Wanted(begin=False))
        assert done.resumed and (done.records, done.events) == (of + 1, 1)
        await caught_up(reads, logs)
    assert await differences(logs.settings, SMALL) == []
    assert tables_beside(sql) == set()


async def test_the_old_tables_are_kept_and_taken_back(logs: Logs, reads: Reads, sql: Connection[TupleRow], swap: Swap) -> None:
    fill(logs, 30)
    await logs.send()
    async with consuming(logs.settings):
        await caught_up(reads, logs)
        sql.execute("COMMENT ON TABLE job_executions IS 'the first ones'")
        await rebuild(logs.settings, wanted=Wanted(keep=True))
        assert "job_executions_old" in tables_beside(sql)
        logs.events(0).commit([requested(7000, 0)])
        await logs.send()
        await caught_up(reads, logs)
        swap.take_back()
        comment = "SELECT obj_description('job_executions'::regclass)"
        assert sql.execute(comment).fetchone() == ("the first ones",)
        await caught_up(reads, logs)  # the consumer goes on where these stood
    assert await differences(logs.settings) == []
    assert swap.drop()
    assert (tables_beside(sql), positions(sql)) == (set(), {("tables", TABLES.version)})
    with pytest.raises(Conflict, match="--keep-old"):
        swap.take_back()


@pytest.fixture
def swap(upgraded: Settings) -> Iterator[Swap]:
    with connect(upgraded) as connection:
        yield Swap(connection, upgraded.database.table_schema, TABLES)


async def test_one_at_a_time(logs: Logs, swap: Swap) -> None:
    swap.claim()
    with pytest.raises(Conflict, match="under way"):
        await rebuild(logs.settings)


async def test_without_a_build_there_is_nothing_to_finish(logs: Logs, sql: Connection[TupleRow]) -> None:
    with pytest.raises(Conflict, match="no tables of 'tables' are built"):
        await rebuild(logs.settings, wanted=Wanted(begin=False))
    built = await rebuild(logs.settings, wanted=Wanted(swap=False))
    assert built.phase == "built" and "job_executions_next" in tables_beside(sql)
    assert (await rebuild(logs.settings, wanted=Wanted(begin=False, check=False))).phase == "swapped"


async def test_another_shape_is_built_and_the_program_of_the_other_version_stops(
    logs: Logs, reads: Reads, sql: Connection[TupleRow]
) -> None:
    """A column more, another one gone: no row is rewritten. Who folds the old version finds its place taken away."""
    fill(logs, 30)
    await logs.send()
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    sql.execute("UPDATE projection_positions SET version = version - 1")
    sql.execute("DROP VIEW running_executions")
    sql.execute("ALTER TABLE job_executions DROP COLUMN blocked_by")
    sql.execute("ALTER TABLE job_executions ADD COLUMN something_old TEXT")
    with pytest.raises(Conflict, match=r"of version 1, this program folds version 2: `jobledger projections rebuild tables`"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event()), DEADLINE)
    await rebuild(logs.settings, wanted=Wanted(keep=True))
    assert positions(sql) == {("tables", 2), ("tables_old", 1)}
    assert await differences(logs.settings) == []
    sql.execute("UPDATE projection_positions SET version = version + 1 WHERE projection = 'tables'")  # the next program swapped
    with pytest.raises(Conflict, match="a newer program has taken over"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event()), DEADLINE)
    with pytest.raises(Refused, match="builds version 2"):
        check_version(TABLES, 3)


async def test_a_build_that_differs_from_the_log_is_not_taken_in(logs: Logs, sql: Connection[TupleRow]) -> None:
    fill(logs, 10)
    await logs.send()

    def report(progress: Progress) -> None:
        if progress.phase == "indexing":
            sql.execute(
                "UPDATE job_executions_next SET priority = 77 WHERE execution_id = (SELECT max(execution_id) FROM job_executions_next)"
            )

    with pytest.raises(Differs, match=r"priority: expected \d, found 77"):
        await rebuild(logs.settings, report)
    assert sql.execute("SELECT count(*) FROM job_executions").fetchone() == (0,)


async def test_a_view_of_somebody_else_s_is_named_and_nothing_is_swapped(logs: Logs, sql: Connection[TupleRow]) -> None:
    """It would go on showing the tables that it was made from."""
    sql.execute("CREATE VIEW theirs AS SELECT state FROM job_executions")
    for keep in (True, False):
        with pytest.raises(Conflict, match="theirs"):
            await rebuild(logs.settings, wanted=Wanted(check=False, keep=keep))
    sql.execute("DROP VIEW theirs")
    assert (await rebuild(logs.settings, wanted=Wanted(begin=False, check=False))).phase == "swapped"


async def test_what_stands_on_kept_tables_is_named_before_they_are_dropped(logs: Logs, sql: Connection[TupleRow], swap: Swap) -> None:
    await rebuild(logs.settings, wanted=Wanted(check=False, keep=True))
    sql.execute("CREATE VIEW theirs AS SELECT state FROM job_executions_old")
    with pytest.raises(Conflict, match="theirs"):
        swap.drop()
    assert "job_executions_old" in tables_beside(sql)


async def test_tables_that_are_taken_back_have_the_indexes_of_this_program_and_those_of_yours(
    logs: Logs, sql: Connection[TupleRow], swap: Swap
) -> None:
    """Of ours, those that an upgrade made since they were kept; of yours, also one whose name has no room for a suffix."""
    ours, yours = "job_executions_labelled", "y" * 61
    await rebuild(logs.settings, wanted=UNCHECKED)
    sql.execute(SQL("DROP INDEX {}").format(Identifier(ours)))
    sql.execute(SQL("CREATE INDEX {} ON job_executions (state)").format(Identifier(yours)))
    await rebuild(logs.settings, wanted=Wanted(check=False, keep=True))
    swap.take_back()
    query = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'job_executions'"
    assert {ours, yours} <= {name for (name,) in sql.execute(query)}
    assert sql.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{ours}_old",)).fetchone() == (True,)


async def test_tables_that_an_upgrade_gave_no_column_are_not_taken_back(logs: Logs, sql: Connection[TupleRow], swap: Swap) -> None:
    """It changes those in use."""
    await rebuild(logs.settings, wanted=UNCHECKED)
    await rebuild(logs.settings, wanted=Wanted(check=False, keep=True))
    sql.execute("ALTER TABLE job_executions_old DROP COLUMN trace_id")
    with pytest.raises(Conflict, match="another shape"):
        swap.take_back()


async def test_a_long_reader_is_not_cut_off(logs: Logs, sql: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch) -> None:
    """The swap gives up after a while, and can be done later."""
    monkeypatch.setattr("projections.swapping.READERS", ("50ms", "50ms"))
    with sql.transaction():
        sql.execute("SELECT 1 FROM job_executions")
        with pytest.raises(Conflict, match="long transactions") as refused:
            await rebuild(logs.settings, wanted=UNCHECKED)
        assert isinstance(refused.value.__cause__, LockNotAvailable)
    assert (await rebuild(logs.settings, wanted=Wanted(begin=False))).phase == "swapped"
