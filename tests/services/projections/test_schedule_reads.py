"""What may be asked about ticks, scheduled jobs, pauses and backfills."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.config import Settings
from ledger.core import backfill, execution, outcome, tick
from ledger.core.chain import Head
from ledger.core.ids import ExecutionId, Micros, Token
from ledger.core.refusal import Refused
from ledger.core.wire import Event
from projections.connecting import connect
from projections.folds import fold_of
from projections.patches import Source
from projections.reads import Reads
from projections.rows import ExecutionFilter, Page
from projections.schedule_rows import BulkFilter, TickFilter
from projections.tail import Reached, Tail
from projections.writing import Writer
from tests.synthetic_log import BEGAN, MINUTE, WORKER, SyntheticLog, pause_events, registry_events
from tests.unit.projections.test_tail import records

T = TypeVar("T")
START = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=BEGAN)


def at(minute: int) -> Micros:
    return Micros(BEGAN + minute * MINUTE)


def when(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def fired(
    job: str, minute: int, trigger: execution.Trigger = "schedule", *, tenant: str | None = None, backfill: str | None = None
) -> execution.Requested:
    return execution.Requested(
        ExecutionId(f"{job}-{minute}-0"), job, job, 1, "system", "default", at(minute), trigger, tick_at=at(minute), due_at=at(minute),
        next_tick_at=at(minute + 1), tenant=tenant, backfill_id=backfill, command_id=backfill,
    )  # fmt: skip


def happened() -> list[Event]:
    """Two jobs: one that fires, is skipped and missed; one that fails and pauses itself."""
    failed = ExecutionId("sync-1-0")
    return [
        tick.Adopted("tidy", 1, at(0), next_tick_at=at(1)),
        tick.Adopted("sync", 1, at(0)),
        fired("tidy", 1, tenant="acme"),
        tick.Skipped("tidy", "tidy", 1, at(2), at(5), 4, "overlap", "acme", "tidy-1-0", at(6)),
        tick.Missed("tidy", "tidy", 1, at(6), at(8), 3, "catchup_window", "acme", at(9)),
        fired("tidy", 9),
        fired("sync", 1),
        execution.Started(failed, 1, Token(1), WORKER),
        execution.Failed(failed, 1, "failed", "OSError", "gone"),
        tick.AutoPaused("sync", 1, "one failed"),
        backfill.Begun("b-1", "tidy", 1, at(-9), at(-1), 8, actor="ops"),
        outcome.Accepted("b-1", "job.backfill.v1", "applied", "tidy", actor="ops"),
        fired("tidy", -8, "backfill", backfill="b-1"),
        backfill.Advanced("b-1", "tidy", at(-8), 1, 0),
    ]


@pytest.fixture
def written(upgraded: Settings) -> Settings:
    """The tables, written by hand: neither Kafka nor a consumer is needed."""
    logs: dict[Source, list[Event]] = {("registry", 0): [*registry_events(), *pause_events()], ("events", 0): happened()}
    with connect(upgraded) as connection:
        writer = Writer(connection, upgraded.database.table_schema)
        for source, events in logs.items():
            writer.open(source)
            log = SyntheticLog(*source)
            log.fill(events, 5)
            tail = Tail("L", Reached(Head(*source)), fold_of(source[0], 4))
            tail.feed(records(log))
            stretch = tail.take()
            assert stretch is not None, tail.broken
            writer.apply([stretch])
    return upgraded


async def all_of(ask: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """Page after page."""
    found: list[T] = []
    cursor: str | None = None
    while True:
        page = await ask(cursor)
        found.extend(page.items)
        cursor = page.next
        if cursor is None:
            return found


async def test_ticks_and_what_became_of_them(written: Settings, reads: Reads) -> None:
    ticks = await all_of(lambda cursor: reads.ticks(cursor=cursor, limit=2))
    assert [(one.job_id, one.tick_at, one.outcome, one.tick_count) for one in ticks] == [
        ("tidy", when(9), "fired", 1),
        ("tidy", when(6), "missed", 3),
        ("tidy", when(2), "skipped", 4),
        ("tidy", when(1), "fired", 1),
        ("sync", when(1), "fired", 1),
    ]
    skipped = await reads.tick("tidy", when(4))
    assert skipped is not None
    assert (skipped.outcome, skipped.reason, skipped.last_tick_at, skipped.blocked_by) == ("skipped", "overlap", when(5), "tidy-1-0")
    assert await reads.tick("tidy", when(10)) is None
    assert await reads.tick("tidy", when(0)) is None


@pytest.mark.parametrize(
    ("where", "minutes"),
    [
        (TickFilter(job="tidy", outcome="fired"), [9, 1]),
        (TickFilter(outcome=("skipped", "missed")), [6, 2]),
        (TickFilter(reason="overlap"), [2]),
        (TickFilter(tenant="acme", version=1), [6, 2, 1]),
        (TickFilter(job="tidy", from_=when(7), to=when(9)), [6]),
        (TickFilter(job="tidy", from_=when(5), to=when(6)), [2]),
        (TickFilter(job_name="tidy", version=2), []),
    ],
)
async def test_filters_of_ticks(written: Settings, reads: Reads, where: TickFilter, minutes: list[int]) -> None:
    assert [one.tick_at for one in (await reads.ticks(where)).items] == [when(minute) for minute in minutes]


async def test_scheduled_jobs_as_their_home_partition_sees_them(written: Settings, reads: Reads) -> None:
    statuses = await all_of(lambda cursor: reads.statuses(cursor=cursor, limit=1))
    assert [(one.job_id, one.firings, one.last_state, one.consecutive_failures) for one in statuses] == [
        ("sync", 1, "failed", 1),
        ("tidy", 2, None, 0),
    ]
    tidy = await reads.status("tidy")
    assert tidy is not None
    assert (tidy.in_force_version, tidy.last_tick_at, tidy.next_tick_at, tidy.auto_paused_note) == (1, when(9), when(10), None)
    assert [one.job_id for one in (await reads.statuses(failing=True)).items] == ["sync"]
    assert [one.job_id for one in (await reads.statuses(auto_paused=False)).items] == ["tidy"]
    assert [one.job_id for one in (await reads.statuses(last_state="completed")).items] == []
    assert await reads.status("send-invoice") is None


async def test_a_job_that_paused_itself_is_shown_as_paused(written: Settings, reads: Reads, sql: Connection[TupleRow]) -> None:
    """Only its home partition knows; one that is retired is that."""
    sql.execute("UPDATE job_status SET auto_paused_note = 'three failed' WHERE job_id = 'tidy'")
    tidy, sync = await reads.definition("tidy"), await reads.definition("sync")
    assert tidy is not None and (tidy.state, tidy.paused_note) == ("paused", "three failed")
    assert sync is not None and sync.state == "retired"
    assert [one.job_id for one in (await reads.definitions(state="paused")).items] == ["tidy"]
    assert [one.job_id for one in (await reads.definitions(state="active")).items] == ["send-invoice"]
    assert tidy in (await reads.definitions()).items


async def test_pauses_in_force(written: Settings, reads: Reads) -> None:
    pauses = await all_of(lambda cursor: reads.pauses(cursor=cursor, limit=2))
    assert [(one.scope, one.name, one.note) for one in pauses] == [
        ("job", "sync", None), ("queue", "mail", "again"), ("tenant", "acme", None),
    ]  # fmt: skip
    assert [one.name for one in (await reads.pauses(scope="queue")).items] == ["mail"]
    found = await reads.pause("tenant", "acme")
    assert found is not None and found.address.seq == 4
    assert await reads.pause("job", "tidy") is None
    assert [one.job_id for one in (await reads.definitions(state="retired")).items] == ["sync"]


async def test_backfills_and_their_executions(written: Settings, reads: Reads, sql: Connection[TupleRow]) -> None:
    (act,) = await all_of(lambda cursor: reads.bulk_acts(kind="backfill", going_on=True, cursor=cursor, limit=1))
    assert (act.bulk_id, act.planned, act.done, act.actor, act.finished_at) == ("b-1", 8, 1, "ops", None)
    assert act.filter is not None and act.filter["job_id"] == "tidy"
    assert await reads.bulk_act("b-1") == [act]
    assert (await reads.bulk_acts(going_on=False)).items == ()
    [whole] = await all_of(lambda cursor: reads.bulks(BulkFilter("backfill", "ops", going_on=True), cursor=cursor, limit=1))
    assert (whole.bulk_id, whole.planned, whole.done, whole.partitions, whole.filter) == ("b-1", 8, 1, 1, act.filter)
    assert {type(one) for one in (whole.planned, whole.done, whole.refused)} == {int}
    for other in (
        BulkFilter(actor="ann"),
        BulkFilter(going_on=False),
        BulkFilter(to=whole.started_at),
        BulkFilter(kind="cancel", actor="ops"),
    ):
        assert (await reads.bulks(other)).items == ()
    assert [one.bulk_id for one in (await reads.bulks(BulkFilter(from_=whole.started_at))).items] == ["b-1"]
    (run,) = (await reads.executions(ExecutionFilter(backfill="b-1"))).items
    assert (run.trigger, run.tick_at, run.backfill_id) == ("backfill", when(-8), "b-1")
    decided = await reads.command("b-1")
    assert decided is not None and (decided.outcome, decided.command_type, decided.execution_id) == ("applied", "job.backfill.v1", None)
    another = """'{"log_partition": 3, "actor": "ann"}'"""
    sql.execute(f"INSERT INTO bulk_acts SELECT (jsonb_populate_record(b, {another})).* FROM bulk_acts b")
    for actor in ("ops", "ann"):
        [of_both] = (await reads.bulks(BulkFilter(actor=actor))).items
        assert (of_both.planned, of_both.partitions) == (16, 2)


async def test_what_cannot_be_asked_of_ticks_is_refused(reads: Reads) -> None:
    with pytest.raises(Refused, match="there is no outcome 'late'; the outcomes are fired, skipped, missed"):
        await reads.ticks(TickFilter(outcome="late"))
    with pytest.raises(Refused, match="invalid_cursor"):
        await reads.ticks(cursor="nonsense")
    with pytest.raises(Refused, match="say in which time zone"):
        await reads.ticks(TickFilter(from_=datetime(2026, 1, 1)))  # that is what is refused
    with pytest.raises(Refused, match="say in which time zone"):
        await reads.tick("tidy", datetime(2026, 1, 1))


async def test_listing_ticks_uses_an_index(written: Settings, sql: Connection[TupleRow]) -> None:
    sql.execute("SET enable_seqscan = off")
    for where, index in (
        ("ORDER BY tick_at DESC, job_id DESC LIMIT 51", "schedule_ticks_tick"),
        ("WHERE job_id = 'tidy' ORDER BY tick_at DESC LIMIT 1", "schedule_ticks_pkey"),
        ("WHERE outcome = 'missed' ORDER BY tick_at DESC LIMIT 51", "schedule_ticks_outcome"),
    ):
        plan = sql.execute(f"EXPLAIN SELECT * FROM schedule_ticks {where}".encode()).fetchall()
        assert any(index in row[0] for row in plan), plan
