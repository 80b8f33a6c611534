"""The first tables: definitions, versions, executions, attempts, outcomes of commands, and positions."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE job_definitions (
        job_id TEXT NOT NULL,
        job_name TEXT NOT NULL,
        kind TEXT NOT NULL,
        queue TEXT NOT NULL,
        tenant TEXT,
        exclusive_scope TEXT NOT NULL,
        exclusive_key TEXT,
        home_partition INTEGER NOT NULL,
        state TEXT NOT NULL,
        current_version INTEGER,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT job_definitions_pkey PRIMARY KEY (job_id)
    )
    """,
    """
    CREATE TABLE job_versions (
        job_id TEXT NOT NULL,
        job_version INTEGER NOT NULL,
        content_hash TEXT NOT NULL,
        data JSONB,
        options JSONB,
        schedule JSONB,
        actor TEXT,
        reason TEXT,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT job_versions_pkey PRIMARY KEY (job_id, job_version)
    )
    """,
    """
    CREATE TABLE job_executions (
        execution_id TEXT NOT NULL,
        job_id TEXT NOT NULL,
        job_name TEXT NOT NULL,
        job_version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        queue TEXT NOT NULL,
        tenant TEXT,
        labels JSONB,
        exclusive_key TEXT,
        trigger TEXT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        priority BIGINT NOT NULL,
        attempt INTEGER NOT NULL,
        progress BIGINT,
        progress_note TEXT,
        worker TEXT,
        data JSONB,
        result JSONB,
        error_type TEXT,
        error_message TEXT,
        requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
        run_at TIMESTAMP WITH TIME ZONE,
        eligible_at TIMESTAMP WITH TIME ZONE,
        first_started_at TIMESTAMP WITH TIME ZONE,
        started_at TIMESTAMP WITH TIME ZONE,
        finished_at TIMESTAMP WITH TIME ZONE,
        deadline_at TIMESTAMP WITH TIME ZONE,
        last_report_at TIMESTAMP WITH TIME ZONE,
        wait_ms BIGINT,
        run_ms BIGINT,
        tick_at TIMESTAMP WITH TIME ZONE,
        retry_of TEXT,
        command_id TEXT,
        idempotency_key TEXT,
        actor TEXT,
        correlation_id TEXT,
        trace_id TEXT,
        requested_offset BIGINT NOT NULL,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT job_executions_pkey PRIMARY KEY (execution_id)
    )
    """,
    "CREATE INDEX job_executions_command ON job_executions (command_id) WHERE command_id IS NOT NULL",
    "CREATE INDEX job_executions_job_finished ON job_executions (job_id, finished_at)",
    "CREATE INDEX job_executions_labels ON job_executions USING gin (labels jsonb_path_ops) WHERE labels IS NOT NULL",
    "CREATE INDEX job_executions_requested ON job_executions (requested_at, execution_id)",
    "CREATE INDEX job_executions_state_finished ON job_executions (state, finished_at)",
    "CREATE INDEX job_executions_tenant_unfinished ON job_executions (tenant, eligible_at) WHERE finished_at IS NULL",
    """
    CREATE TABLE execution_attempts (
        execution_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        token BIGINT NOT NULL,
        worker TEXT NOT NULL,
        state TEXT NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE,
        run_ms BIGINT,
        error_type TEXT,
        error_message TEXT,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT execution_attempts_pkey PRIMARY KEY (execution_id, attempt)
    )
    """,
    """
    CREATE TABLE command_outcomes (
        command_id TEXT NOT NULL,
        command_type TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT,
        detail TEXT,
        log TEXT NOT NULL,
        job_id TEXT,
        tenant TEXT,
        actor TEXT,
        decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
        log_partition INTEGER NOT NULL,
        log_seq BIGINT NOT NULL,
        log_index INTEGER NOT NULL,
        log_offset BIGINT NOT NULL,
        CONSTRAINT command_outcomes_pkey PRIMARY KEY (log, log_partition, log_seq, log_index)
    )
    """,
    "CREATE INDEX command_outcomes_command ON command_outcomes (command_id)",
    """
    CREATE TABLE projection_positions (
        projection TEXT NOT NULL,
        version INTEGER NOT NULL,
        log TEXT NOT NULL,
        log_partition INTEGER NOT NULL,
        log_id TEXT NOT NULL,
        log_seq BIGINT NOT NULL,
        log_offset BIGINT NOT NULL,
        digest TEXT NOT NULL,
        voids BIGINT NOT NULL,
        stopped_note TEXT,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT projection_positions_pkey PRIMARY KEY (projection, version, log, log_partition)
    )
    """,
    "CREATE VIEW running_executions AS SELECT * FROM job_executions WHERE state IN ('active', 'processing')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
