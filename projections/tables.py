"""The tables: their columns, what each means, and which indexes the usual questions need. Names are a contract with whoever queries them.

No schema stands here: it is a setting and enters where statements are compiled. DDL is in `migrations/`; a test compares both.
`doc` is what `docs/tables.md` says about a column.
"""

from typing import Final, TypeVar

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

METADATA: Final = MetaData()
EXECUTION_STATES: Final = (
    "waiting", "delayed", "active", "processing", "completed", "failed", "timed_out", "lost", "missed", "skipped", "cancelled",
)  # fmt: skip
TICK_OUTCOMES: Final = ("fired", "skipped", "missed")


def _column(name: str, kind: TypeEngine[T], doc: str, *, required: bool = False) -> SchemaItem:
    return Column(name, kind, doc=doc, nullable=not required)


def _text(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, Text(), doc, required=required)


def _integer(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, Integer(), doc, required=required)


def _bigint(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, BigInteger(), doc, required=required)


def _instant(name: str, doc: str, *, required: bool = False) -> SchemaItem:
    return _column(name, DateTime(timezone=True), doc, required=required)


def _json(name: str, doc: str) -> SchemaItem:
    return _column(name, JSONB(none_as_null=True), doc)


def _address() -> list[SchemaItem]:
    return [
        _integer("log_partition", "partition of the log of the event that wrote this row last", required=True),
        _bigint("log_seq", "number of that event's commit", required=True),
        _integer("log_index", "place of the event in the commit, from 0", required=True),
        _bigint("log_offset", "offset of the commit's record", required=True),
    ]


job_definitions: Final = Table(
    "job_definitions",
    METADATA,
    _text("job_id", "the job; a system or on-demand job is called like its handler", required=True),
    _text("job_name", "the handler (code) it runs", required=True),
    _text("kind", "system, scheduled or on_demand", required=True),
    _text("queue", "where its executions wait", required=True),
    _text("tenant", "whose job it is; null: nobody's in particular"),
    _text("name", "what its user calls it; null: it was given no name of its own"),
    _text("exclusive_scope", "what excludes its executions from running together: none, job, tenant or key", required=True),
    _text("exclusive_key", "the key that follows from the scope; null: none, or each execution brings its own"),
    _integer("home_partition", "the partition of the log where its schedule is kept", required=True),
    _text("state", "declared (no version was in force yet), active, paused or retired", required=True),
    _integer("current_version", "the version in force; of a retired job: the last"),
    _text("paused_note", "the note of the pause of this job that stands"),
    _instant("created_at", "when it was registered", required=True),
    _instant("updated_at", "when what stands here last changed", required=True),
    *_address(),
    PrimaryKeyConstraint("job_id", name="job_definitions_pkey"),
)

job_versions: Final = Table(
    "job_versions",
    METADATA,
    _text("job_id", "the job", required=True),
    _integer("job_version", "its number; a higher one is newer", required=True),
    _text("content_hash", "hash of its content: another content needs another version", required=True),
    _json("data", "the data its executions get where they bring none"),
    _json("options", "timeouts and retries, as written"),
    _json("schedule", "as written: cron, every_ms or at, timezone, policies where they differ from the defaults; null: it has none"),
    _text("actor", "who registered it"),
    _text("reason", "why, in the actor's words"),
    _instant("created_at", "when it was registered", required=True),
    *_address(),
    PrimaryKeyConstraint("job_id", "job_version", name="job_versions_pkey"),
)

job_executions: Final = Table(
    "job_executions",
    METADATA,
    _text("execution_id", "32 hex digits, a dash and the number of its partition", required=True),
    _text("job_id", "the job", required=True),
    _text("job_name", "the handler it runs", required=True),
    _integer("job_version", "the version it runs", required=True),
    _text("kind", "system, scheduled or on_demand", required=True),
    _text("queue", "where it waits", required=True),
    _text("tenant", "whose it is"),
    _json("labels", "labels given at the submit"),
    _text("exclusive_key", "executions with the same key do not run together"),
    _text("trigger", "what asked for it: schedule, run_now, backfill, submit or retry", required=True),
    _text("state", "waiting, delayed, active, processing, or one terminal state", required=True),
    _text("reason", "why it was missed, skipped or cancelled: a word for programs"),
    _text("waiting_reason", "what else it waits for than a worker: overlap (a former execution of its job has to end first)"),
    _text("blocked_by", "the execution it waits for"),
    _bigint("priority", "a lower number runs first", required=True),
    _integer("attempt", "number of the attempt that started last; 0: none did", required=True),
    _bigint("progress", "percent, as reported by the attempt that runs or ran last"),
    _text("progress_note", "what it said to that"),
    _text("worker", "who runs it, or ran it last; null while it waits"),
    _json("data", "the data of this execution; null: the version's own"),
    _json("result", "what the handler returned"),
    _text("error_type", "of the attempt that failed last; null once it completed"),
    _text("error_message", "of the attempt that failed last, or why it was cancelled or skipped; null once it completed"),
    _instant("requested_at", "when the wish reached the broker", required=True),
    _instant("run_at", "not before this time, as asked at the submit"),
    _instant("eligible_at", "since when it may run; of a delayed one: from when"),
    _instant("first_started_at", "when its first attempt started"),
    _instant("started_at", "when the attempt started that runs or ran last; null while it waits"),
    _instant("finished_at", "when it reached its terminal state"),
    _instant("deadline_at", "while it waits for its first attempt: to start by; after a start: the attempt's time limit"),
    _instant("last_report_at", "when its worker was last heard of in the log"),
    _bigint("wait_ms", "of the attempt started last: from eligible to started"),
    _bigint("run_ms", "of the attempt that ended last, by the worker's monotonic clock"),
    _instant("tick_at", "nominal time of the schedule's tick that it is, or that it makes up in a backfill"),
    _text("retry_of", "the execution it is a retry by hand of"),
    _text("backfill_id", "the backfill it belongs to"),
    _text("command_id", "the command that asked for it; null: a tick"),
    _text("idempotency_key", "the key the submitter gave"),
    _text("actor", "who asked for it"),
    _text("correlation_id", "given at the submit"),
    _text("trace_id", "given at the submit"),
    _bigint("requested_offset", "offset of its first event's commit: its history is read from here to log_offset", required=True),
    *_address(),
    PrimaryKeyConstraint("execution_id", name="job_executions_pkey"),
)
Index("job_executions_job_finished", job_executions.c.job_id, job_executions.c.finished_at)
Index("job_executions_state_finished", job_executions.c.state, job_executions.c.finished_at)
Index(
    "job_executions_tenant_unfinished",
    job_executions.c.tenant,
    job_executions.c.eligible_at,
    postgresql_where=text("finished_at IS NULL"),
)
Index("job_executions_requested", job_executions.c.requested_at, job_executions.c.execution_id)
Index("job_executions_command", job_executions.c.command_id, postgresql_where=text("command_id IS NOT NULL"))
Index(
    "job_executions_labels",
    job_executions.c.labels,
    postgresql_using="gin",
    postgresql_ops={"labels": "jsonb_path_ops"},
    postgresql_where=text("labels IS NOT NULL"),
)
Index("job_executions_backfill", job_executions.c.backfill_id, postgresql_where=text("backfill_id IS NOT NULL"))
Index(
    "job_executions_runs",  # what a consumer has to know when it takes a partition over: executions under way of jobs with a schedule
    job_executions.c.log_partition,
    postgresql_where=text("finished_at IS NULL AND kind <> 'on_demand'"),
)

execution_attempts: Final = Table(
    "execution_attempts",
    METADATA,
    _text("execution_id", "the execution", required=True),
    _integer("attempt", "its number, from 1; an attempt that was handed back is not counted, the next start takes its row", required=True),
    _bigint("token", "fencing token of the grant: rises with every grant of a partition", required=True),
    _text("worker", "who ran it", required=True),
    _text("state", "active, completed, failed, timed_out, handed_back, lost or cancelled", required=True),
    _instant("started_at", "when it started", required=True),
    _instant("finished_at", "when its end was decided"),
    _bigint("run_ms", "how long it ran, by the worker's monotonic clock"),
    _text("error_type", "what it raised"),
    _text("error_message", "with which message"),
    *_address(),
    PrimaryKeyConstraint("execution_id", "attempt", name="execution_attempts_pkey"),
)

command_outcomes: Final = Table(
    "command_outcomes",
    METADATA,
    _text("command_id", "the command; unique per tenant and act, a repeat that was refused again has a row of its own", required=True),
    _text("command_type", "type name of the command", required=True),
    _text("outcome", "applied, unchanged, stale or rejected", required=True),
    _text("reason", "of a refusal: a word for programs"),
    _text("detail", "of a refusal: a sentence for people"),
    _text("log", "the log that decided it: registry or events", required=True),
    _text("job_id", "the job it was about"),
    _text("tenant", "for whom"),
    _text("actor", "by whom"),
    _instant("decided_at", "when it was decided", required=True),
    *_address(),
    PrimaryKeyConstraint("log", "log_partition", "log_seq", "log_index", name="command_outcomes_pkey"),
)
Index("command_outcomes_command", command_outcomes.c.command_id)

schedule_ticks: Final = Table(
    "schedule_ticks",
    METADATA,
    _text("job_id", "the job", required=True),
    _text("job_name", "the handler it runs", required=True),
    _text("tenant", "whose job it is"),
    _integer("job_version", "the version whose schedule expected it", required=True),
    _instant("tick_at", "its nominal time; of a range: the first one's", required=True),
    _instant("last_tick_at", "of a range: the last one's; else the same as tick_at", required=True),
    _bigint("tick_count", "how many ticks the row stands for: more than one where they were skipped or missed in a row", required=True),
    _instant("due_at", "when it was to fire: its nominal time and the job's jitter; null unless it fired"),
    _instant("decided_at", "when it was decided", required=True),
    _bigint("lateness_ms", "from due to decided; null unless it fired"),
    _text("outcome", "fired, skipped or missed", required=True),
    _text("reason", "of skipped: overlap, buffer_full, paused, by_hand or busy; of missed: catchup_window or coalesced"),
    _text("execution_id", "the execution it led to; null unless it fired"),
    _text("blocked_by", "the execution that stood in its way, where one did"),
    *_address(),
    PrimaryKeyConstraint("job_id", "tick_at", name="schedule_ticks_pkey"),
)
Index("schedule_ticks_outcome", schedule_ticks.c.outcome, schedule_ticks.c.tick_at)
Index("schedule_ticks_tick", schedule_ticks.c.tick_at, schedule_ticks.c.job_id)
Index("schedule_ticks_ranges", schedule_ticks.c.last_tick_at, postgresql_where=text("tick_count > 1"))

job_status: Final = Table(
    "job_status",
    METADATA,
    _text("job_id", "the job", required=True),
    _integer("in_force_version", "the version whose schedule fires; null: none does any more"),
    _instant("next_tick_at", "the tick it expects next, by its nominal time, as control reckoned when it decided the last one; null: none"),
    _instant("last_tick_at", "the newest tick that has its outcome, whatever that is"),
    _text("last_state", "the terminal state of its execution that ended last"),
    _instant("last_finished_at", "when that one ended"),
    _bigint("consecutive_failures", "executions that failed, timed out or were lost since one completed, or since a resume", required=True),
    _text("auto_paused_note", "why it paused itself; null: it did not"),
    _bigint("firings", "ticks that fired of the version in force", required=True),
    *_address(),
    PrimaryKeyConstraint("job_id", name="job_status_pkey"),
)

pauses: Final = Table(
    "pauses",
    METADATA,
    _text("scope", "what is paused: job, queue, tenant or key", required=True),
    _text("name", "which one; of a key: as in exclusive_key", required=True),
    _text("note", "what is said about it to whoever asks"),
    _text("actor", "who paused it"),
    _instant("since", "since when", required=True),
    *_address(),
    PrimaryKeyConstraint("scope", "name", name="pauses_pkey"),
)

bulk_acts: Final = Table(
    "bulk_acts",
    METADATA,
    _text("bulk_id", "the act; it may have a row in several partitions", required=True),
    _text("kind", "backfill", required=True),
    _json("filter", "what it is about: of a backfill the job, its version and the range of ticks"),
    _bigint("planned", "how many it was to be", required=True),
    _bigint("done", "how many are done", required=True),
    _bigint("refused", "how many were left out", required=True),
    _text("actor", "who wanted it"),
    _text("reason", "why, in the actor's words"),
    _text("outcome", "done, or why it ended early: retired; null: it goes on"),
    _instant("started_at", "when it was accepted", required=True),
    _instant("finished_at", "when all of it was done"),
    *_address(),
    PrimaryKeyConstraint("bulk_id", "log_partition", name="bulk_acts_pkey"),
)

projection_positions: Final = Table(
    "projection_positions",
    METADATA,
    _text("projection", "the projection", required=True),
    _integer("version", "its version: of the folds, not of the data", required=True),
    _text("log", "registry or events", required=True),
    _integer("log_partition", "partition of that log", required=True),
    _text("log_id", "the log's identity, from its first event", required=True),
    _bigint("log_seq", "number of the commit whose rows are in the tables", required=True),
    _bigint("log_offset", "offset of that commit's record", required=True),
    _text("digest", "SHA-256 of that record", required=True),
    _bigint("voids", "records skipped as void so far", required=True),
    _text("stopped_note", "why the projection stopped here, and what to do; null: it did not"),
    _instant("updated_at", "when this row was written, by the database's clock", required=True),
    PrimaryKeyConstraint("projection", "version", "log", "log_partition", name="projection_positions_pkey"),
)

VIEWS: Final = {
    "jobs": (
        "SELECT d.*, s.in_force_version, s.next_tick_at, s.last_tick_at, s.last_state, s.last_finished_at, s.consecutive_failures,"
        " s.auto_paused_note, s.firings FROM {schema}.job_definitions AS d LEFT JOIN {schema}.job_status AS s ON s.job_id = d.job_id"
    ),
    "running_executions": "SELECT * FROM {schema}.job_executions WHERE state IN ('active', 'processing')",
}
