"""Executions that ended badly are listed, and retried by their thousands, without reading those that went well."""

from alembic import op

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    "CREATE INDEX job_executions_ended_badly ON job_executions (requested_at, execution_id, state)"
    " WHERE state IN ('failed', 'timed_out', 'lost', 'missed')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
