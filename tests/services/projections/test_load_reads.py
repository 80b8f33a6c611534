"""What waits and runs per queue, tenant and key, and which of them are held."""

from psycopg import Connection
from psycopg.rows import TupleRow

from projections.reads import Reads
from projections.rows import Load

Sql = Connection[TupleRow]
INSERT = """
    INSERT INTO job_executions (execution_id, job_id, job_name, job_version, kind, queue, tenant, exclusive_key, trigger, state, priority,
        attempt, requested_at, eligible_at, finished_at, requested_offset, log_partition, log_seq, log_index, log_offset)
    SELECT %(name)s || number, 'j', 'j', 1, 'on_demand', 'mail', %(tenant)s, %(key)s, 'submit', %(state)s, 5, 0, now(),
        '2026-01-02T00:00:00Z'::timestamptz + number * interval '1 minute',
        CASE WHEN %(state)s = 'completed' THEN now() END, 0, 0, 1, 0, 0
    FROM generate_series(1, %(count)s) AS number
"""

PAUSES = """
    INSERT INTO pauses VALUES
        ('tenant', 'acme', 'stock-taking', 'ada', now(), 0, 1, 0, 0), ('tenant', 'quiet', NULL, NULL, now(), 0, 1, 1, 0)
"""


def insert(sql: Sql, state: str, count: int, tenant: str | None = None, key: str | None = None) -> None:
    sql.execute(INSERT, {"name": f"{state}-{tenant}-", "state": state, "count": count, "tenant": tenant, "key": key})


async def test_what_has_not_ended_is_counted_beside_what_is_paused(sql: Sql, reads: Reads) -> None:
    insert(sql, "waiting", 3, "acme", "key:j:7")
    insert(sql, "delayed", 1, "acme")
    insert(sql, "processing", 1, "acme")
    insert(sql, "active", 2, "zoo")
    insert(sql, "completed", 9, "gone", "key:j:8")
    insert(sql, "waiting", 1)
    sql.execute(PAUSES)
    acme, quiet, zoo = (await reads.loads("tenant")).items
    assert (acme.name, acme.waiting, acme.delayed, acme.active, acme.paused, acme.note, acme.actor) == (
        "acme", 3, 1, 1, True, "stock-taking", "ada",
    )  # fmt: skip
    assert acme.waits_since is not None and acme.waits_since.isoformat() == "2026-01-02T00:01:00+00:00"
    assert (quiet.name, quiet.waiting, quiet.paused, quiet.since is not None) == ("quiet", 0, True, True)
    assert zoo == Load("zoo", active=2)
    [queue] = (await reads.loads("queue")).items
    assert (queue.name, queue.waiting, queue.delayed, queue.active, queue.paused) == ("mail", 4, 1, 3, False)
    assert [(one.name, one.waiting) for one in (await reads.loads("key")).items] == [("key:j:7", 3)]


async def test_they_come_in_pages_by_name(sql: Sql, reads: Reads) -> None:
    for tenant in "dbca":
        insert(sql, "waiting", 1, tenant)
    names: list[str] = []
    cursor = None
    while True:
        page = await reads.loads("tenant", cursor=cursor, limit=3)
        names += [one.name for one in page.items]
        if (cursor := page.next) is None:
            break
    assert names == ["a", "b", "c", "d"]
