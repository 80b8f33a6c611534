"""The consumer on a real Kafka and Postgres: the tables equal the fold of the log, whatever happens to it on the way."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from msgspec import Raw
from psycopg import Connection
from psycopg.rows import TupleRow
from structlog.testing import capture_logs

from ledger.config import Settings
from ledger.core.refusal import Conflict, Misconfigured
from ledger.crashpoints import CRASH_AT, EXIT_KILLED
from ledger.kafka.connect import admin_client
from ledger.stack import Stack
from projections import consumer
from projections.reads import Reads
from projections.status import status
from tests import forked
from tests.services.conftest import apply_and_open
from tests.services.projections.conftest import DEADLINE, Logs, caught_up, consuming, differences, until
from tests.synthetic_log import execution_id, pause_events, registry_events, requested, scheduled_lives, varied_lives

ROOT = Path(__file__).parents[3]


def fill(logs: Logs, lives: int = 60, seed: int = 1) -> None:
    logs.registry.fill([*registry_events(), *pause_events()], 3)
    for partition in range(4):
        logs.fill(partition, varied_lives(lives, partition, seed + partition), 40)
        logs.fill(partition, scheduled_lives(lives, partition, seed + partition), 40)


async def test_it_follows_both_logs_and_the_tables_equal_their_fold(logs: Logs, reads: Reads) -> None:
    fill(logs)
    async with consuming(logs.settings):
        await logs.send()
        await caught_up(reads, logs)
        for partition in range(4):
            logs.events(partition).commit([requested(1000 + partition, partition)])
        logs.events(0).commit([])  # an empty commit moves the position, too
        await logs.send()
        await caught_up(reads, logs)
    assert await differences(logs.settings) == []
    assert [one.behind for one in await status(logs.settings)] == [0] * 5


async def test_a_void_is_counted_and_its_events_are_not_in_the_tables(logs: Logs, reads: Reads) -> None:
    logs.events(1).commit([requested(1, 1)])
    logs.events(1).void([requested(666, 1)])
    logs.events(1).commit([requested(2, 1)])
    await logs.send()
    async with consuming(logs.settings) as seen:
        await caught_up(reads, logs)
        assert seen.voids == 1
    assert await differences(logs.settings) == []
    assert [one.voids for one in await status(logs.settings)] == [0, 0, 1, 0, 0]
    assert len((await reads.executions()).items) == 2


@pytest.mark.parametrize("bad", [b"{", b'{"v":99}', b""])
async def test_what_cannot_be_read_stops_its_partition_and_the_others_go_on(logs: Logs, reads: Reads, bad: bytes) -> None:
    logs.events(0).commit([requested(1, 0)])
    logs.events(0).records.append(bad)
    logs.events(1).commit([requested(1, 1)])
    await logs.send()
    async with consuming(logs.settings) as seen:

        async def stopped() -> bool:
            return any(row.stopped_note for row in await reads.positions())

        await until(stopped)
        await caught_up(reads, logs)
        assert len(seen.stopped) == 1
    notes = {one.partition: one.stopped_note for one in await status(logs.settings) if one.log == "events"}
    assert [partition for partition, note in notes.items() if note] == [0]
    assert "events[0] is broken at offset 2" in str(notes[0])
    assert "jobledger ledger verify" in str(notes[0])


async def test_a_row_that_postgres_never_takes_stops_its_partition_and_the_others_go_on(logs: Logs, reads: Reads) -> None:
    """No command brings such a number in, and a log is not only ours to write."""
    logs.events(0).commit([requested(1, 0, data=Raw(b"0." + b"0" * 17_000 + b"1"))])
    logs.events(0).commit([requested(2, 0)])
    logs.events(1).commit([requested(1, 1)])
    await logs.send()
    async with consuming(logs.settings) as seen:

        async def stopped() -> bool:
            return any(row.stopped_note for row in await reads.positions()) and bool((await reads.executions()).items)

        await until(stopped)
        assert "value overflows numeric format" in seen.stopped[0]
    notes = {one.partition: one.stopped_note for one in await status(logs.settings) if one.log == "events"}
    assert "does not take a row that follows from events[0]" in str(notes[0])
    assert (notes[1], [one.execution_id for one in (await reads.executions()).items]) == (None, [execution_id(1, 1)])


async def test_it_waits_while_postgres_only_reads(logs: Logs) -> None:
    """During a switch to another server, that is."""
    url = logs.settings.database.url.get_secret_value() + "?options=-c%20default_transaction_read_only%3Don"
    database = logs.settings.database.model_validate({"url": url, "schema": logs.settings.prefix})
    with capture_logs() as lines:
        async with consuming(logs.settings.model_copy(update={"database": database})):

            async def waits() -> bool:
                return any(line["action"] == "projection.sql_away" and "read-only" in line["detail"] for line in lines)

            await until(waits)


@pytest.mark.parametrize("begun", [False, True])
async def test_it_ends_while_somebody_locks_a_table(
    logs: Logs, reads: Reads, sql: Connection[TupleRow], begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "GRACE", 0.1)
    monkeypatch.setattr(consumer, "SHUTDOWN", 0.1)
    stop = asyncio.Event()
    running = asyncio.create_task(consumer.run(logs.settings, stop))
    if begun:
        await caught_up(reads, logs)
    with sql.transaction():
        sql.execute("LOCK TABLE job_executions IN ACCESS EXCLUSIVE MODE")
        logs.events(0).commit([requested(1, 0)])
        await logs.send()
        await until(lambda: waiting_for_locks(sql, 1))
        stop.set()
        await asyncio.wait_for(running, DEADLINE)
        await until(lambda: waiting_for_locks(sql, 0))


async def test_verify_is_interrupted_while_somebody_locks_a_table(logs: Logs, sql: Connection[TupleRow]) -> None:
    logs.events(0).commit([requested(1, 0)])
    await logs.send()
    with sql.transaction():
        sql.execute("LOCK TABLE job_executions IN ACCESS EXCLUSIVE MODE")
        verifying = asyncio.create_task(differences(logs.settings))
        await until(lambda: waiting_for_locks(sql, 1))
        verifying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(verifying, DEADLINE)


async def waiting_for_locks(sql: Connection[TupleRow], count: int) -> bool:
    return sql.execute("SELECT FROM pg_locks WHERE NOT granted AND relation = 'job_executions'::regclass").rowcount == count


async def test_two_consumers_share_the_partitions(logs: Logs, reads: Reads) -> None:
    async with consuming(logs.settings), consuming(logs.settings):
        for round in range(5):
            for partition in range(4):
                logs.fill(partition, [requested(5000 + round * 100 + one, partition) for one in range(30)], 10)
            await logs.send()
        await caught_up(reads, logs)
    assert await differences(logs.settings) == []


async def test_postgres_and_kafka_die_and_come_back(logs: Logs, reads: Reads, stack: Stack) -> None:
    if "JOBLEDGER_DATABASE__URL" in os.environ:
        pytest.skip("the servers are not ours to kill")
    fill(logs, 30)
    async with consuming(logs.settings) as seen:
        await logs.send()
        await caught_up(reads, logs)
        await asyncio.to_thread(stack.kill, "postgres")
        logs.events(0).commit([requested(2000, 0)])
        await logs.send()

        async def missed() -> bool:
            return seen.away is not None

        await until(missed)
        await asyncio.to_thread(stack.restart, "postgres")
        await until(lambda: _is_there(reads, logs))
        await asyncio.to_thread(stack.kill, "kafka")
        await asyncio.to_thread(stack.restart, "kafka")
        logs.events(0).commit([requested(2001, 0)])
        await logs.send()
        await caught_up(reads, logs)
    assert await differences(logs.settings) == []


async def _is_there(reads: Reads, logs: Logs) -> bool:
    with suppress(Exception):  # Postgres is just coming back
        positions = {(row.log, row.log_partition): row.log_seq for row in await reads.positions()}
        return all(positions.get(place, 0) >= seq for place, seq in logs.last.items())
    return False


def environment_of(settings: Settings) -> Mapping[str, str]:
    return {
        **os.environ,
        "JOBLEDGER_PREFIX": settings.prefix,
        "JOBLEDGER_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "JOBLEDGER_KAFKA__SESSION_TIMEOUT": "1.5",
        "JOBLEDGER_DATABASE__URL": settings.database.url.get_secret_value(),
        "JOBLEDGER_DATABASE__SCHEMA": settings.database.table_schema,
    }


def start(settings: Settings, config: Path, stderr: int | IO[bytes] = subprocess.DEVNULL, crash_at: str | None = None) -> forked.Forked:
    environment = {**environment_of(settings), "JOBLEDGER_CONFIG": str(config), **({CRASH_AT: crash_at} if crash_at else {})}
    return forked.start("ledger.cli", "projections", "run", cwd=ROOT, env=environment, stderr=stderr)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An empty file: everything comes from the environment."""
    path = tmp_path / "jobledger.yaml"
    path.write_text("{}\n")
    return path


@pytest.mark.parametrize("point", ["projection:before-sql", "projection:before-sql-commit", "projection:after-sql-commit"])
async def test_it_dies_at_the_worst_moments_and_the_next_one_goes_on(logs: Logs, reads: Reads, config: Path, point: str) -> None:
    fill(logs, 30)
    await logs.send()
    dying = start(logs.settings, config, crash_at=point)
    assert await dying.ended(DEADLINE) == EXIT_KILLED
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    assert await differences(logs.settings) == []


async def _moved(reads: Reads, since: int = 0) -> bool:
    return await _commits(reads) > since


async def _commits(reads: Reads) -> int:
    """In the tables, of all partitions."""
    return sum(row.log_seq for row in await reads.positions())


async def test_a_killed_consumer_is_replaced_by_another(logs: Logs, reads: Reads, config: Path) -> None:
    fill(logs, 20)
    await logs.send()
    for round in range(3):
        before = await _commits(reads)
        process = start(logs.settings, config)
        logs.fill(round, [requested(4000 + 100 * round + one, round) for one in range(50)], 5)
        await logs.send()
        await until(partial(_moved, reads, before))
        process.kill()
        await process.ended(DEADLINE)
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    assert await differences(logs.settings) == []


async def test_sigterm_ends_it_cleanly(logs: Logs, reads: Reads, config: Path) -> None:
    logs.events(0).commit([requested(1, 0)])
    await logs.send()
    process = start(logs.settings, config)
    await until(lambda: _moved(reads))
    process.terminate()
    assert await process.ended(12) == 0


async def test_sigterm_ends_it_while_postgres_is_away(logs: Logs, config: Path, tmp_path: Path) -> None:
    away = logs.settings.database.model_validate({"url": "postgresql://u:p@127.0.0.1:1/x", "schema": logs.settings.prefix})
    with (tmp_path / "said").open("wb") as said:
        process = start(logs.settings.model_copy(update={"database": away}), config, said)

    async def said_so() -> bool:
        return "projection.sql_away" in (tmp_path / "said").read_text()

    await until(said_so)
    process.terminate()
    assert await process.ended(15) == 0


async def test_it_refuses_tables_of_another_log(logs: Logs, reads: Reads, sql: Connection[TupleRow]) -> None:
    logs.events(0).commit([requested(1, 0)])
    await logs.send()
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    sql.execute("UPDATE projection_positions SET log_id = 'another-one'")
    with pytest.raises(Conflict, match=r"another-one.*has log "):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event()), DEADLINE)


async def test_it_refuses_a_digest_that_the_log_does_not_have(logs: Logs, reads: Reads, sql: Connection[TupleRow]) -> None:
    logs.events(0).commit([requested(1, 0)])
    await logs.send()
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    sql.execute("UPDATE projection_positions SET digest = repeat('e', 64) WHERE log = 'events' AND log_partition = 0")
    with pytest.raises(Conflict, match=f"{'e' * 64}.*{logs.events(0).prev}"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event()), DEADLINE)


async def test_it_refuses_a_topic_that_was_made_anew(logs: Logs, reads: Reads) -> None:
    fill(logs, 20)
    await logs.send()
    async with consuming(logs.settings):
        await caught_up(reads, logs)
    names = [logs.settings.topic("registry"), logs.settings.topic("events")]
    async with admin_client(logs.settings.kafka.bootstrap) as admin:
        await admin.delete_topics(names)

        async def gone() -> bool:
            return not set(names) & set(await admin.list_topics())

        await until(gone)
    await apply_and_open(logs.settings)
    with pytest.raises(Conflict, match="were folded from log"):
        await asyncio.wait_for(consumer.run(logs.settings, asyncio.Event()), DEADLINE)


async def test_without_tables_it_says_which_command_makes_them(settings: Settings, opened: object) -> None:
    with pytest.raises(Misconfigured, match="jobledger db upgrade"):
        await asyncio.wait_for(consumer.run(settings, asyncio.Event()), DEADLINE)
