"""Indexes of executions leave room for the second version of each row, and look for no duplicates where there are none."""

from alembic import op

revision = "0008"
down_revision = "0007"

_BY_ID = ("requested", "job_requested", "tenant_requested", "labelled")  # they end with the execution's id
STATEMENTS = (
    *(f"ALTER INDEX job_executions_{name} SET (deduplicate_items = off)" for name in _BY_ID),
    *(f"ALTER INDEX job_executions_{name} SET (fillfactor = 50)" for name in ("pkey", "command", *_BY_ID)),
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
