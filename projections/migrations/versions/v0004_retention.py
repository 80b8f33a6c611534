"""Up to when ended executions may have been removed from the tables."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    """
    CREATE TABLE retention_horizons (
        projection TEXT NOT NULL,
        state TEXT NOT NULL,
        purged_before TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT retention_horizons_pkey PRIMARY KEY (projection, state)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the tables are a fold of the log: drop the schema and rebuild instead")
