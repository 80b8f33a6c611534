"""The executions of a tenant are listed page by page without reading those of the others."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = (
    "CREATE INDEX job_executions_tenant_requested ON job_executions (tenant, requested_at, execution_id) WHERE tenant IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
