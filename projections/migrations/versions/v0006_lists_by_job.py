"""The executions of a job are listed page by page without sorting all of them."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = ("CREATE INDEX job_executions_job_requested ON job_executions (job_id, requested_at, execution_id)",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
