"""Each question of docs/tables.md is answered by its query, over rows whose times stand in relation to now."""

from collections.abc import Mapping

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from projections.questions import QUESTIONS

ADDRESS: Mapping[str, object] = {"log_partition": 0, "log_seq": 1, "log_index": 0, "log_offset": 1}
EXECUTION: Mapping[str, object] = {
    "job_version": 1, "kind": "on_demand", "queue": "default", "trigger": "submit", "priority": 5, "attempt": 1, "requested_offset": 0,
}  # fmt: skip


class Ago(str):
    """An instant: so long ago, as Postgres writes intervals."""


def insert(sql: Connection[TupleRow], table: str, **row: object) -> None:
    values = {**row, **({} if "log_partition" in row else ADDRESS)}
    places = ", ".join("now() - %s::interval" if isinstance(value, Ago) else "%s" for value in values.values())
    sql.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})".encode(), list(map(_plain, values.values())))


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Ago) else value


def execution(sql: Connection[TupleRow], named: str, job: str, state: str, **row: object) -> None:
    fields = {"requested_at": Ago("2 days"), "eligible_at": Ago("2 days"), **EXECUTION, **row}
    insert(sql, "job_executions", execution_id=named, job_id=job, job_name=job, state=state, **fields)


def tick(sql: Connection[TupleRow], job: str, ago: str, outcome: str, *, late: int | None = None, reason: str | None = None) -> None:
    times = {"tick_at": Ago(ago), "last_tick_at": Ago(ago), "decided_at": Ago(ago), "tick_count": 1 if outcome == "fired" else 7}
    insert(sql, "schedule_ticks", job_id=job, job_name=job, job_version=1, outcome=outcome, lateness_ms=late, reason=reason, **times)


@pytest.fixture
def asked(sql: Connection[TupleRow]) -> Connection[TupleRow]:
    for number in range(20):
        execution(sql, f"fast-{number}", "fast", "completed", finished_at=Ago("1 day"), run_ms=10 + number)
    execution(sql, "slow-1", "slow", "completed", finished_at=Ago("6 days"), run_ms=900)
    execution(sql, "slow-2", "slow", "completed", finished_at=Ago("8 days"), run_ms=90_000)
    execution(sql, "bad-1", "bad", "failed", finished_at=Ago("3 hours"), error_type="OSError", error_message="gone")
    execution(sql, "bad-2", "bad", "failed", finished_at=Ago("3 days"), error_type="OSError", error_message="gone")
    execution(sql, "late-1", "slow", "active", started_at=Ago("1 hour"), deadline_at=Ago("1 minute"), worker="w")
    execution(sql, "well-1", "slow", "active", started_at=Ago("1 hour"), deadline_at=Ago("-1 minute"), worker="w")
    execution(sql, "wait-1", "slow", "waiting", tenant="acme", eligible_at=Ago("2 hours"), waiting_reason="overlap", blocked_by="late-1")
    execution(sql, "wait-2", "slow", "waiting", tenant="zeta", eligible_at=Ago("1 minute"))
    tick(sql, "punctual", "1 hour", "fired", late=4)
    tick(sql, "tardy", "1 hour", "fired", late=8_000)
    tick(sql, "tardy", "2 hours", "skipped", reason="overlap")
    tick(sql, "tardy", "3 days", "missed", reason="catchup_window")
    home = {"queue": "default", "exclusive_scope": "none", "home_partition": 0, "created_at": Ago("9 days"), "updated_at": Ago("9 days")}
    for job, state in (("punctual", "active"), ("tardy", "active"), ("idle", "paused")):
        insert(sql, "job_definitions", job_id=job, job_name=job, kind="system", state=state, **home)
    insert(sql, "job_status", job_id="punctual", firings=1, consecutive_failures=0, next_tick_at=Ago("-1 minute"))
    insert(sql, "job_status", job_id="tardy", firings=1, consecutive_failures=3, auto_paused_note="3 failed", next_tick_at=Ago("-1 hour"))
    insert(sql, "job_status", job_id="idle", firings=1, consecutive_failures=0, next_tick_at=Ago("-1 hour"))
    insert(sql, "pauses", scope="job", name="idle", note="until Monday", actor="ops", since=Ago("1 hour"))
    for partition in (0, 1):
        place = {**ADDRESS, "log_partition": partition}
        insert(sql, "bulk_acts", bulk_id="b", kind="backfill", planned=10, done=4, refused=1, started_at=Ago("1 hour"), **place)
    insert(sql, "bulk_acts", bulk_id="c", kind="backfill", planned=1, done=1, refused=0, started_at=Ago("1 day"), finished_at=Ago("1 day"))
    return sql


ANSWERS: Mapping[str, list[tuple[object, ...]]] = {  # the columns named, of each row
    "How long do jobs take": [("slow", 1, 900.0), ("fast", 20, 28.05)],
    "What failed last night": [("bad-1", "failed", "OSError", "gone")],
    "What is stuck": [("wait-1", "overlap", "late-1"), ("late-1", None, None)],
    "Which tenant waits longest": [("acme", 1), ("zeta", 1)],
    "Which schedules were late": [("tardy", 1, 8_000)],
    "Which ticks of the last day did not fire": [("tardy", "skipped", "overlap", 7)],
    "Which jobs fail again and again": [("tardy", 3)],
    "What is paused": [("idle", "until Monday"), ("tardy", "3 failed")],
    "What fires next": [("punctual",)],
    "How far the backfills are": [("b", 20, 8, 2)],
}
SHOWN: Mapping[str, tuple[str, ...]] = {
    "How long do jobs take": ("job_id", "runs", "p95_ms"),
    "What failed last night": ("execution_id", "state", "error_type", "error_message"),
    "What is stuck": ("execution_id", "waiting_reason", "blocked_by"),
    "Which tenant waits longest": ("tenant", "waiting"),
    "Which schedules were late": ("job_id", "late", "worst_ms"),
    "Which ticks of the last day did not fire": ("job_id", "outcome", "reason", "ticks"),
    "Which jobs fail again and again": ("job_id", "consecutive_failures"),
    "What is paused": ("name", "note"),
    "What fires next": ("job_id",),
    "How far the backfills are": ("bulk_id", "planned", "done", "left_out"),
}


def test_each_question_is_answered_by_its_query(asked: Connection[TupleRow]) -> None:
    assert {name for name in ANSWERS if any(one.asked.startswith(name) for one in QUESTIONS)} == set(ANSWERS)
    for question in QUESTIONS:
        (name,) = [name for name in ANSWERS if question.asked.startswith(name)]
        cursor = asked.execute(question.query.encode())
        columns = [one.name for one in cursor.description or ()]
        rows = [tuple(row[columns.index(column)] for column in SHOWN[name]) for row in cursor.fetchall()]
        assert rows == ANSWERS[name], question.asked
