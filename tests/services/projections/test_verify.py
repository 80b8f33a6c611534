"""Verify: whatever was done to the tables by hand is found, and named with the event it should have come from."""

from collections.abc import Iterable, Iterator
from contextlib import aclosing

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from projections.comparing import Pair
from projections.differences import Difference
from projections.patches import Key, Source
from projections.rebuild import Wanted, rebuild
from projections.strangers import Strangers
from projections.sweeping import USUAL, Sizes
from projections.verify import STRANGERS_AT_ONCE, Verified, verify
from tests.services.projections.conftest import Logs, differences
from tests.services.projections.test_consumer import fill
from tests.synthetic_log import completed_lives, requested

UNCHECKED = Wanted(check=False)
PARKING = Sizes(events_a_write=20, records_at_once=2, most_held=2)  # most is put aside

Named = set[tuple[str, Key, str | None]]


def named(found: Iterable[Difference]) -> Named:
    return {(one.table, one.key, one.column) for one in found}


async def test_verify_names_every_difference(logs: Logs, sql: Connection[TupleRow]) -> None:
    logs.events(0).commit([requested(1, 0), requested(2, 0)])
    await logs.send()
    await rebuild(logs.settings, wanted=UNCHECKED)
    first, second = (row[0] for row in sql.execute("SELECT execution_id FROM job_executions ORDER BY log_index").fetchall())
    sql.execute("UPDATE job_executions SET state = 'lost', data = '{}' WHERE execution_id = %s", (first,))
    sql.execute("UPDATE job_executions SET execution_id = 'stranger' WHERE execution_id = %s", (second,))
    found = await differences(logs.settings)
    assert named(found) == {
        ("job_executions", first, "state"),
        ("job_executions", first, "data"),
        ("job_executions", second, None),
        ("job_executions", "stranger", None),
    }
    state = next(one for one in found if one.column == "state")
    assert (state.expected, state.found) == ("waiting", "lost")
    assert state.address == "events[0] seq 2 index 0 at offset 1"


async def test_rows_altered_deleted_and_added_are_found_wherever_they_are(logs: Logs, sql: Connection[TupleRow]) -> None:
    """In every table, of what ended and of what is under way, however little is held in memory."""
    fill(logs, 25)
    for partition in range(4):
        logs.events(partition).fill(completed_lives(10, partition, 500), 7)
    await logs.send()
    await rebuild(logs.settings, wanted=UNCHECKED)
    ended = [str(row[0]) for row in sql.execute("SELECT execution_id FROM job_executions WHERE finished_at IS NOT NULL AND attempt = 1")]
    waiting = [str(row[0]) for row in sql.execute("SELECT execution_id FROM job_executions WHERE finished_at IS NULL AND attempt = 0")]
    a, b, c, d, e, f = ended[:3] + ended[-3:]
    of_c = sql.execute("SELECT log_partition FROM job_executions WHERE execution_id = %s", (c,)).fetchone()
    executions, attempts = "UPDATE job_executions SET", "INSERT INTO execution_attempts SELECT execution_id, 9, token, worker, state"
    for act in (
        f"{executions} priority = 7 WHERE execution_id = '{a}'",
        f"{executions} finished_at = finished_at + interval '1 microsecond' WHERE execution_id = '{b}'",
        f"{executions} log_partition = (log_partition + 1) % 4 WHERE execution_id = '{c}'",
        f"{executions} log_partition = 99 WHERE execution_id = '{d}'",
        f"DELETE FROM job_executions WHERE execution_id = '{e}'",
        f"DELETE FROM execution_attempts WHERE execution_id = '{f}'",
        f"{attempts}, started_at, finished_at, run_ms, error_type, error_message, log_partition, log_seq, log_index, log_offset"
        f" FROM execution_attempts WHERE execution_id = '{a}'",
        f"{executions} tenant = 'somebody' WHERE execution_id = '{waiting[0]}'",
        f"DELETE FROM job_executions WHERE execution_id = '{waiting[-1]}'",
        "DELETE FROM job_versions WHERE job_id = 'sync'",
        "DELETE FROM pauses WHERE scope = 'tenant'",
        "INSERT INTO pauses VALUES ('job', 'made-up', NULL, NULL, now(), 0, 1, 0, 0), ('job', 'twice', NULL, NULL, now(), 7, 1, 0, 0)",
        "UPDATE job_status SET firings = firings + 1 WHERE job_id = 'tidy-2'",
        "UPDATE bulk_acts SET filter = '{}' WHERE bulk_id = 'k-tidy-1'",
        "UPDATE command_outcomes SET outcome = 'applied' WHERE command_id = 'c2' AND log = 'registry'",
    ):
        sql.execute(act.encode())
    c2 = sql.execute("SELECT log, log_partition, log_seq, log_index FROM command_outcomes WHERE command_id = 'c2' AND log = 'registry'")
    expected = {
        ("job_executions", a, "priority"),
        ("job_executions", b, "finished_at"),
        ("job_executions", c, "log_partition"),
        ("job_executions", d, "log_partition"),
        ("job_executions", e, None),
        ("execution_attempts", (f, 1), None),
        ("execution_attempts", (a, 9), None),
        ("job_executions", waiting[0], "tenant"),
        ("job_executions", waiting[-1], None),
        ("job_versions", ("sync", 1), None),
        ("pauses", ("tenant", "acme"), None),
        ("pauses", ("job", "made-up"), None),
        ("pauses", ("job", "twice"), None),
        ("job_status", "tidy-2", "firings"),
        ("bulk_acts", ("k-tidy-1", 1), "filter"),
        ("command_outcomes", c2.fetchone(), "outcome"),
    }
    for sizes in (USUAL, PARKING):
        found = await differences(logs.settings, sizes)
        assert (named(found), len(found)) == (expected, len(expected)), sizes
    moved = next(one for one in found if one.key == c)
    assert of_c == (moved.expected,) and moved.address.startswith(f"events[{moved.expected}] seq ")


async def test_a_position_moved_by_hand_is_found(logs: Logs, sql: Connection[TupleRow]) -> None:
    """Alone it names no commit of the log; together with its digest the rows behind it are too many."""
    fill(logs, 10)
    last = logs.events(1)
    logs.events(2).void([requested(666, 2)])
    logs.events(2).commit([])
    before = last.prev
    last.commit([requested(900, 1)])
    await logs.send()
    await rebuild(logs.settings, wanted=UNCHECKED)
    move = "UPDATE projection_positions SET {} WHERE log = 'events' AND log_partition = {}"
    sql.execute(move.format("log_seq = log_seq + 1", 0).encode())
    sql.execute(move.format(f"log_seq = log_seq - 1, log_offset = log_offset - 1, digest = '{before}'", 1).encode())
    sql.execute(move.format("digest = 'd'", 2).encode())
    sql.execute(move.format("log_offset = log_offset + 3", 3).encode())
    found = await differences(logs.settings)
    (later,) = (one for one in found if one.table == "job_executions")
    assert (later.column, later.expected) == (None, "no row")
    assert named(found) - {(later.table, later.key, None)} == {
        ("projection_positions", ("events", 0), "log_seq"),
        ("projection_positions", ("events", 2), "digest"),
        ("projection_positions", ("events", 3), "log_offset"),
    }


async def test_rows_that_the_log_has_not_are_read_as_they_are_told(
    logs: Logs, sql: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be more of them than memory. Who has heard enough leaves the others where they are."""
    sql.execute(
        "INSERT INTO pauses SELECT 'job', 'made-up-' || number, NULL, NULL, now(), 0, 1, 0, 0 FROM generate_series(1, %s) number",
        (3 * STRANGERS_AT_ONCE,),
    )
    read, found = list[Pair](), Strangers.found

    def noted(self: Strangers, source: Source) -> Iterator[Pair]:
        for pair in found(self, source):
            read.append(pair)
            yield pair

    monkeypatch.setattr(Strangers, "found", noted)
    async with aclosing(verify(logs.settings, Verified())) as told:
        await anext(told)
    assert len(read) == STRANGERS_AT_ONCE
    assert len(await differences(logs.settings)) == 3 * STRANGERS_AT_ONCE
