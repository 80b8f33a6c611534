"""The tables: their columns, what each means, and which indexes the usual questions need. Names are a contract with whoever queries them.

No schema stands here: it is a setting and enters where statements are compiled. DDL is in `migrations/`; a test compares both.
`doc` is what `docs/tables.md` says about a column.
"""

from typing import Final, get_args

from sqlalchemy import Index, PrimaryKeyConstraint, Table, text

from ledger.core.execution import Kind
from projections import columns as of
from projections.columns import METADATA
from projections.schedule_tables import bulk_acts, job_status, pauses, schedule_ticks

EXECUTION_STATES: Final = (
    "waiting", "delayed", "active", "processing", "completed", "failed", "timed_out", "lost", "missed", "skipped", "cancelled",
)  # fmt: skip

JOB_KINDS: Final = get_args(Kind)
JOB_STATES: Final = ("declared", "active", "paused", "retired")

job_definitions: Final = Table(
    "job_definitions",
    METADATA,
    of.text("job_id", "the job; a system or on-demand job is called like its handler", required=True),
    of.text("job_name", "the handler (code) it runs", required=True),
    of.text("kind", "system, scheduled or on_demand", required=True),
    of.text("queue", "where its executions wait", required=True),
    of.text("tenant", "whose job it is; null: nobody's in particular"),
    of.text("name", "what its user calls it; null: it was given no name of its own"),
    of.text("exclusive_scope", "what excludes its executions from running together: none, job, tenant or key", required=True),
    of.text("exclusive_key", "the key that follows from the scope; null: none, or each execution brings its own"),
    of.integer("home_partition", "the partition of the log where its schedule is kept", required=True),
    of.text("state", "declared (no version was in force yet), active, paused or retired", required=True),
    of.integer("current_version", "the version in force; of a retired job: the last"),
    of.text("paused_note", "the note of the pause of this job that stands"),
    of.instant("created_at", "when it was registered", required=True),
    of.instant("updated_at", "when what stands here last changed", required=True),
    *of.address(),
    PrimaryKeyConstraint("job_id", name="job_definitions_pkey"),
)

job_versions: Final = Table(
    "job_versions",
    METADATA,
    of.text("job_id", "the job", required=True),
    of.integer("job_version", "its number; a higher one is newer", required=True),
    of.text("content_hash", "hash of its content: another content needs another version", required=True),
    of.document("data", "the data its executions get where they bring none"),
    of.document("options", "timeouts and retries, as written"),
    of.document("schedule", "as written: cron, every_ms or at, timezone, policies where they differ from the defaults; null: it has none"),
    of.text("actor", "who registered it"),
    of.text("reason", "why, in the actor's words"),
    of.instant("created_at", "when it was registered", required=True),
    *of.address(),
    PrimaryKeyConstraint("job_id", "job_version", name="job_versions_pkey"),
)

# A row is written when it is asked for and once more when it has ended, and each index takes it in again. What costs most is a page that is
# full by then: it is searched for what can be thrown away, and split. So pages that grow are left half empty for the second version, and
# no duplicates are looked for in indexes that end with the execution's id: a sixth of what a row costs Postgres.
_ROOM: Final = {"fillfactor": 50}  # of pages made from then on: those of an index that is built for rows that are there are full
_NO_TWO_ALIKE: Final = {"deduplicate_items": "off"}

job_executions: Final = Table(
    "job_executions",
    METADATA,
    of.text("execution_id", "32 hex digits, a dash and the number of its partition", required=True),
    of.text("job_id", "the job", required=True),
    of.text("job_name", "the handler it runs", required=True),
    of.integer("job_version", "the version it runs", required=True),
    of.text("kind", "system, scheduled or on_demand", required=True),
    of.text("queue", "where it waits", required=True),
    of.text("tenant", "whose it is"),
    of.document("labels", "labels given at the submit"),
    of.text("exclusive_key", "executions with the same key do not run together"),
    of.text("trigger", "what asked for it: schedule, run_now, backfill, submit or retry", required=True),
    of.text("state", "waiting, delayed, active, processing, or one terminal state", required=True),
    of.text("reason", "why it was missed, skipped or cancelled: a word for programs"),
    of.text("waiting_reason", "what else it waits for than a worker: overlap (a former run of its job), exclusive (its key is held)"),
    of.text("blocked_by", "the execution that it began to wait for; while it waits in line, who holds the key now is another, later"),
    of.bigint("priority", "a lower number runs first", required=True),
    of.integer("attempt", "number of the attempt that started last; 0: none did", required=True),
    of.bigint("progress", "percent, as reported by the attempt that runs or ran last"),
    of.text("progress_note", "what it said to that"),
    of.text("worker", "who runs it, or ran it last; null while it waits"),
    of.document("data", "the data of this execution; null: the version's own"),
    of.document("result", "what the handler returned"),
    of.text("error_type", "of the attempt that failed last; null once it completed"),
    of.text("error_message", "of the attempt that failed last, or why it was cancelled or skipped; null once it completed"),
    of.instant("requested_at", "when the wish reached the broker", required=True),
    of.instant("run_at", "not before this time, as asked at the submit"),
    of.instant("eligible_at", "since when it may run; of a delayed one: from when"),
    of.instant("first_started_at", "when its first attempt started"),
    of.instant("started_at", "when the attempt started that runs or ran last; null while it waits"),
    of.instant("finished_at", "when it reached its terminal state"),
    of.instant("deadline_at", "while it waits for its first attempt: to start by; after a start: the attempt's time limit"),
    of.instant("last_report_at", "when its worker was last heard of in the log"),
    of.bigint("wait_ms", "of the attempt started last: from eligible to started"),
    of.bigint("run_ms", "of the attempt that ended last, by the worker's monotonic clock"),
    of.instant("tick_at", "nominal time of the schedule's tick that it is, or that it makes up in a backfill"),
    of.text("retry_of", "the execution it is a retry by hand of"),
    of.text("backfill_id", "the backfill it belongs to"),
    of.text("command_id", "the command that asked for it; null: a tick"),
    of.text("idempotency_key", "the key the submitter gave"),
    of.text("actor", "who asked for it"),
    of.text("correlation_id", "given at the submit"),
    of.text("trace_id", "given at the submit"),
    of.bigint("requested_offset", "offset of its first event's commit: its history is read from here to log_offset", required=True),
    *of.address(),
    PrimaryKeyConstraint("execution_id", name="job_executions_pkey", info=_ROOM),
)
Index("job_executions_job_finished", job_executions.c.job_id, job_executions.c.finished_at)
Index("job_executions_state_finished", job_executions.c.state, job_executions.c.finished_at)
Index(
    "job_executions_tenant_unfinished",
    job_executions.c.tenant,
    job_executions.c.eligible_at,
    postgresql_where=text("finished_at IS NULL"),
)
Index("job_executions_requested", job_executions.c.requested_at, job_executions.c.execution_id, postgresql_with=_NO_TWO_ALIKE, info=_ROOM)
Index(
    "job_executions_job_requested",
    job_executions.c.job_id,
    job_executions.c.requested_at,
    job_executions.c.execution_id,
    postgresql_with=_NO_TWO_ALIKE,
    info=_ROOM,
)
Index(
    "job_executions_tenant_requested",
    job_executions.c.tenant,
    job_executions.c.requested_at,
    job_executions.c.execution_id,
    postgresql_where=text("tenant IS NOT NULL"),
    postgresql_with=_NO_TWO_ALIKE,
    info=_ROOM,
)
Index("job_executions_command", job_executions.c.command_id, postgresql_where=text("command_id IS NOT NULL"), info=_ROOM)
Index(
    "job_executions_labels",
    job_executions.c.labels,
    postgresql_using="gin",
    postgresql_ops={"labels": "jsonb_path_ops"},
    postgresql_where=text("labels IS NOT NULL"),
)
Index(
    "job_executions_labelled",  # a label that many have; the one above finds those that few have
    job_executions.c.requested_at,
    job_executions.c.execution_id,
    postgresql_where=text("labels IS NOT NULL"),
    postgresql_with=_NO_TWO_ALIKE,
    info=_ROOM,
)
Index(
    "job_executions_ended_badly",  # few of many, which may be long ago: the newest are not looked for among all
    job_executions.c.requested_at,
    job_executions.c.execution_id,
    job_executions.c.state,
    postgresql_where=text("state IN ('failed', 'timed_out', 'lost', 'missed')"),
)
Index("job_executions_retries", job_executions.c.retry_of, postgresql_where=text("retry_of IS NOT NULL"))
Index("job_executions_backfill", job_executions.c.backfill_id, postgresql_where=text("backfill_id IS NOT NULL"))
Index(
    "job_executions_exclusive",
    job_executions.c.exclusive_key,
    job_executions.c.requested_at,
    postgresql_where=text("exclusive_key IS NOT NULL"),
)

execution_attempts: Final = Table(
    "execution_attempts",
    METADATA,
    of.text("execution_id", "the execution", required=True),
    of.integer("attempt", "its number, from 1; of one handed back or snoozed, the next start has it too", required=True),
    of.bigint("token", "fencing token of the grant: rises with every grant of a partition", required=True),
    of.text("worker", "who ran it", required=True),
    of.text("state", "active, completed, failed, timed_out, handed_back, snoozed, lost, cancelled or skipped", required=True),
    of.instant("started_at", "when it started", required=True),
    of.instant("finished_at", "when its end was decided"),
    of.bigint("run_ms", "how long it ran, by the worker's monotonic clock"),
    of.text("error_type", "what it raised"),
    of.text("error_message", "with which message"),
    *of.address(),
    PrimaryKeyConstraint("execution_id", "attempt", name="execution_attempts_pkey"),
)

command_outcomes: Final = Table(
    "command_outcomes",
    METADATA,
    of.text("command_id", "the command; unique per tenant and act, a repeat that was refused again has a row of its own", required=True),
    of.text("command_type", "type name of the command", required=True),
    of.text("outcome", "applied, unchanged, stale or rejected", required=True),
    of.text("reason", "of a refusal: a word for programs"),
    of.text("detail", "of a refusal: a sentence for people; else the execution that it concerns, or was answered with"),
    of.text("log", "the log that decided it: registry or events", required=True),
    of.text("job_id", "the job it was about"),
    of.text("tenant", "for whom"),
    of.text("actor", "by whom"),
    of.instant("decided_at", "when it was decided", required=True),
    *of.address(),
    PrimaryKeyConstraint("log", "log_partition", "log_seq", "log_index", name="command_outcomes_pkey"),
)
Index("command_outcomes_command", command_outcomes.c.command_id)

projection_positions: Final = Table(
    "projection_positions",
    METADATA,
    of.text("projection", "the projection", required=True),
    of.integer("version", "its version: of the folds, not of the data", required=True),
    of.text("log", "registry or events", required=True),
    of.integer("log_partition", "partition of that log", required=True),
    of.text("log_id", "the log's identity, from its first event", required=True),
    of.bigint("log_seq", "number of the commit whose rows are in the tables", required=True),
    of.bigint("log_offset", "offset of that commit's record", required=True),
    of.text("digest", "SHA-256 of that record", required=True),
    of.bigint("voids", "records skipped as void so far", required=True),
    of.text("stopped_note", "why the projection stopped here, and what to do; null: it did not"),
    of.instant("updated_at", "when this row was written, by the database's clock", required=True),
    PrimaryKeyConstraint("projection", "version", "log", "log_partition", name="projection_positions_pkey"),
)

retention_horizons: Final = Table(
    "retention_horizons",
    METADATA,
    of.text("projection", "the tables that it is about", required=True),
    of.text("state", "a terminal state of executions", required=True),
    of.instant("purged_before", "executions that ended so before this may be gone from the tables (`keep` in the settings)", required=True),
    PrimaryKeyConstraint("projection", "state", name="retention_horizons_pkey"),
)

VERSION_TABLE: Final = "schema_migrations"  # Alembic's own
TABLES: Final = (
    job_definitions,
    job_versions,
    job_status,
    job_executions,
    execution_attempts,
    schedule_ticks,
    pauses,
    command_outcomes,
    bulk_acts,
    projection_positions,
    retention_horizons,
)
VIEWS: Final = {
    "jobs": (
        "SELECT d.*, s.in_force_version, s.next_tick_at, s.last_tick_at, s.last_state, s.last_finished_at, s.consecutive_failures,"
        " s.auto_paused_note, s.firings FROM {schema}.job_definitions AS d LEFT JOIN {schema}.job_status AS s ON s.job_id = d.job_id"
    ),
    "running_executions": "SELECT * FROM {schema}.job_executions WHERE state IN ('active', 'processing')",
}
