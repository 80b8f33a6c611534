"""Who retries an execution is found without reading all of them."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = ("CREATE INDEX job_executions_retries ON job_executions (retry_of) WHERE retry_of IS NOT NULL",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
