"""Schedules: ticks, the state of scheduled jobs, pauses, bulk acts, and what executions and definitions have of them.

What was folded before lacks all that, so the tables begin anew: the consumer folds the log again from its first commit.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "DELETE FROM projection_positions",
    "TRUNCATE job_definitions, job_versions, job_executions, execution_attempts, command_outcomes",
    "ALTER TABLE job_definitions ADD COLUMN name TEXT, ADD COLUMN paused_note TEXT",
    "ALTER TABLE job_executions ADD COLUMN waiting_reason TEXT, ADD COLUMN blocked_by TEXT, ADD COLUMN backfill_id TEXT",
    "CREATE INDEX job_executions_backfill ON job_executions (backfill_id) WHERE backfill_id IS NOT NULL",
    "CREATE INDEX job_executions_exclusive ON job_executions (exclusive_key, requested_at) WHERE exclusive_key IS NOT NULL",
    """
    CREATE TABLE schedule_ticks (
        job_id TEXT NOT NULL,
        job_name TEXT NOT NULL,
        tenant TEXT,
        job_version INTEGER NOT NULL,
        tick_at TIMESTAMP WITH TIME ZONE NOT NULL,
        last_tick_at TIMESTAMP WITH TIME ZONE NOT NULL,
        tick_count BIGINT NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE,
        decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
        lateness_ms BIGINT,
        outcome TEXT NOT NULL,
        reason TEXT,
        execution_id TEXT,
        blocked_by TEXT,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT schedule_ticks_pkey PRIMARY KEY (job_id, tick_at)
    )
    """,
    "CREATE INDEX schedule_ticks_outcome ON schedule_ticks (outcome, tick_at)",
    "CREATE INDEX schedule_ticks_tick ON schedule_ticks (tick_at, job_id)",
    "CREATE INDEX schedule_ticks_ranges ON schedule_ticks (last_tick_at) WHERE tick_count > 1",
    """
    CREATE TABLE job_status (
        job_id TEXT NOT NULL,
        in_force_version INTEGER,
        next_tick_at TIMESTAMP WITH TIME ZONE,
        last_tick_at TIMESTAMP WITH TIME ZONE,
        last_state TEXT,
        last_finished_at TIMESTAMP WITH TIME ZONE,
        consecutive_failures BIGINT NOT NULL,
        auto_paused_note TEXT,
        firings BIGINT NOT NULL,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT job_status_pkey PRIMARY KEY (job_id)
    )
    """,
    """
    CREATE TABLE pauses (
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        note TEXT,
        actor TEXT,
        since TIMESTAMP WITH TIME ZONE NOT NULL,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT pauses_pkey PRIMARY KEY (scope, name)
    )
    """,
    """
    CREATE TABLE bulk_acts (
        bulk_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        filter JSONB,
        planned BIGINT NOT NULL,
        done BIGINT NOT NULL,
        refused BIGINT NOT NULL,
        actor TEXT,
        reason TEXT,
        outcome TEXT,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT bulk_acts_pkey PRIMARY KEY (bulk_id, log_partition)
    )
    """,
    "DROP VIEW running_executions",
    "CREATE VIEW running_executions AS SELECT * FROM job_executions WHERE state IN ('active', 'processing')",
    """
    CREATE VIEW jobs AS
    SELECT d.*, s.in_force_version, s.next_tick_at, s.last_tick_at, s.last_state, s.last_finished_at, s.consecutive_failures,
        s.auto_paused_note, s.firings
    FROM job_definitions AS d LEFT JOIN job_status AS s ON s.job_id = d.job_id
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
