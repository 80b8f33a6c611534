"""Rows that were touched since the last comparison: what was done to one is found, from what was kept and the new commits alone."""

from collections.abc import Mapping, Sequence

from msgspec import json
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core import pause, wire
from ledger.core.audit_saved import SavedRows, SavedTables
from projections.base import Fingerprint, base_of, saved_of, stored_base
from projections.builtin import TABLES
from projections.differences import Difference
from projections.patches import Source
from projections.reads import Reads
from projections.sweeping import USUAL, Sizes
from projections.tail import Reached
from projections.touched import Touched, compare_touched
from projections.verify import Verified, verify
from tests.services.projections.conftest import Logs, caught_up, consuming
from tests.services.projections.test_verify import PARKING, named
from tests.synthetic_log import pause_events, registry_events, scheduled_lives, varied_lives


async def whole(settings: Settings) -> SavedTables:
    """What a comparison of every row keeps, after a way through a file."""
    schema, kept = settings.database.table_schema, list[SavedRows]()

    def keep(connection: Connection[TupleRow], reached: Mapping[Source, Reached]) -> None:
        kept.extend(saved_of(stored_base(connection, schema, *one)) for one in reached.items())

    assert [one async for one in verify(settings, Verified(), at_end=keep)] == []
    return json.decode(json.encode(SavedTables(schema, TABLES.version, kept)), type=SavedTables)


async def touched(settings: Settings, since: SavedTables, sizes: Sizes = USUAL) -> tuple[Touched, list[Difference]]:
    found = list[Difference]()
    return await compare_touched(settings, since, found.append, sizes), found


def lives(partition: int) -> list[wire.Event]:
    """Of both kinds, in turn."""
    one, other = varied_lives(40, partition, 7 + partition), scheduled_lives(30, partition, partition)
    return [event for nth in range(max(len(one), len(other))) for event in (*one[nth : nth + 1], *other[nth : nth + 1])]


def go_on(logs: Logs, part: int, parts: int) -> None:
    """The same lives in so many parts: most of what is under way at the end of one goes on in the next."""
    logs.registry.fill(part_of([*registry_events(), *pause_events()], part, parts), 3)
    for partition in range(4):
        logs.fill(partition, part_of(lives(partition), part, parts), 20)


def part_of(events: Sequence[wire.Event], part: int, parts: int) -> Sequence[wire.Event]:
    return events[len(events) * part // parts : len(events) * (part + 1) // parts]


async def test_what_was_kept_and_the_new_commits_are_as_good_as_all_of_them(logs: Logs, reads: Reads) -> None:
    """In pieces of any size; and what is kept afterwards is what a comparison of everything would keep."""
    async with consuming(logs.settings):
        since: SavedTables | None = None
        for part in range(3):
            go_on(logs, part, 3)
            await logs.send()
            await caught_up(reads, logs)
            everything = await whole(logs.settings)
            if since is not None:
                for sizes in (USUAL, PARKING):
                    compared, found = await touched(logs.settings, since, sizes)
                    assert found == [] and compared.rows > 100 and compared.behind == 0, sizes
                    assert in_order(compared.saved) == in_order(everything)
                assert compared.commits == sum(logs.last.values()) - sum(one.head.seq for one in since.partitions)
            since = everything
    compared, found = await touched(logs.settings, everything)
    assert (compared.rows, compared.commits, found) == (0, 0, [])


def in_order(saved: SavedTables) -> list[tuple[object, ...]]:
    """However Postgres spells a document."""
    return [
        (one.head, one.offset, {table: sorted(str([*map(as_said, row)]) for row in rows) for table, rows in one.tables.items()})
        for one in saved.partitions
    ]


def as_said(value: object) -> object:
    return Fingerprint.of(value.encode()) if isinstance(value, str) and value.startswith("{") else value


async def test_each_row_that_was_altered_is_found_if_it_was_touched(logs: Logs, reads: Reads, sql: Connection[TupleRow]) -> None:
    async with consuming(logs.settings):
        go_on(logs, 0, 2)
        await logs.send()
        await caught_up(reads, logs)
        since = await whole(logs.settings)
        go_on(logs, 1, 2)
        logs.registry.commit([pause.Began("job", "short", None, None)])
        logs.registry.commit([pause.Ended("job", "short", None)])
        await logs.send()
        await caught_up(reads, logs)
    before = {(one.head.log, one.head.partition): one.head for one in since.partitions}
    earlier = before["events", 1]
    over = f"log_partition = 1 AND log_seq > {earlier.seq}"
    old = f"{over} AND requested_offset < {earlier.next_offset}"
    a, b, c = one_column(sql, f"SELECT execution_id FROM job_executions WHERE {old} AND data IS NOT NULL ORDER BY 1 LIMIT 3")
    (new,) = one_column(sql, f"SELECT execution_id FROM job_executions WHERE {over} AND requested_offset >= {earlier.next_offset} LIMIT 1")
    (lone,) = one_column(sql, f"SELECT execution_id FROM job_executions WHERE log_partition = 1 AND log_seq <= {earlier.seq} LIMIT 1")
    for act in (
        f"UPDATE job_executions SET data = '{{}}' WHERE execution_id = '{a}'",
        f"UPDATE job_executions SET priority = 7, state = 'lost' WHERE execution_id = '{b}'",
        f"DELETE FROM job_executions WHERE execution_id = '{c}'",
        f"UPDATE job_executions SET tenant = 'somebody' WHERE execution_id IN ('{new}', '{lone}')",
        f"UPDATE execution_attempts SET token = 1 WHERE execution_id = '{b}' AND attempt = 1",
        f"UPDATE schedule_ticks SET lateness_ms = 77 WHERE ctid = (SELECT max(ctid) FROM schedule_ticks WHERE {over})",
        "UPDATE job_status SET consecutive_failures = 99 WHERE job_id = 'tidy-1'",
        "INSERT INTO pauses VALUES ('job', 'short', NULL, NULL, now(), 0, 1, 0, 0)",
        "UPDATE projection_positions SET digest = 'd' WHERE log = 'events' AND log_partition = 2",
    ):
        sql.execute(act.encode())
    _, found = await touched(logs.settings, since)
    said = named(found)
    (tick,) = (one for one in said if one[0] == "schedule_ticks")
    assert tick[2] == "lateness_ms"
    (attempt,) = (one for one in said if one[0] == "execution_attempts")
    assert attempt[1:] == ((b, 1), "token")
    assert said - {tick, attempt} == {
        ("job_executions", a, "data"),
        ("job_executions", b, "priority"),
        ("job_executions", b, "state"),
        ("job_executions", c, None),
        ("job_executions", new, "tenant"),
        ("job_status", "tidy-1", "consecutive_failures"),
        ("pauses", ("job", "short"), None),
        ("projection_positions", ("events", 2), "digest"),
    }


def one_column(sql: Connection[TupleRow], query: str) -> list[str]:
    return [str(row[0]) for row in sql.execute(query.encode()).fetchall()]


async def test_tables_that_stand_before_what_was_compared_are_not_compared_and_it_is_said(
    logs: Logs, reads: Reads, sql: Connection[TupleRow]
) -> None:
    """After `swap --back` for one; but where they stand has to be a commit of the log."""
    async with consuming(logs.settings):
        go_on(logs, 0, 1)
        await logs.send()
        await caught_up(reads, logs)
    since, log = await whole(logs.settings), logs.events(0)
    move = "UPDATE projection_positions SET log_seq = {0}, log_offset = {0} - 1, digest = '{1}' WHERE log = 'events' AND log_partition = 0"
    for good, digest in ((True, wire.decode_header(log.records[5]).prev), (False, "d")):
        sql.execute(move.format(5, digest).encode())
        compared, found = await touched(logs.settings, since)
        assert compared.behind == 1 and compared.saved == since
        assert named(found) == (set() if good else {("projection_positions", ("events", 0), "digest")})


def test_a_fingerprint_is_that_of_what_a_document_says() -> None:
    same = (b'{"a": [1, 1.50, -0.0, 1e2], "b": "\\u00fc"}', '{"b":"ü","a":[1.0,1.5,0,100]}'.encode())
    assert len({Fingerprint.of(one) for one in same}) == 1
    for one, other in (
        (b"1", b'"1"'),
        (b"1", b"true"),
        (b"12345678901234567890123456789", b"12345678901234567890123456780"),
        (b"[]", b"{}"),
    ):
        assert Fingerprint.of(one) != Fingerprint.of(other)


async def test_what_is_kept_holds_no_body(logs: Logs, reads: Reads) -> None:
    async with consuming(logs.settings):
        go_on(logs, 0, 2)
        await logs.send()
        await caught_up(reads, logs)
    kept = await whole(logs.settings)
    assert b'\\"pad' not in json.encode(kept) and [saved_of(base_of(one)) for one in kept.partitions] == kept.partitions
