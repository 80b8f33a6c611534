"""The newest executions with a common label are found among those that have labels, not among all."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = ("CREATE INDEX job_executions_labelled ON job_executions (requested_at, execution_id) WHERE labels IS NOT NULL",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
