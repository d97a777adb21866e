"""checkpoints of split cohorts; what keeps a worker from working."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("slots", JSON, nullable=True))
    op.add_column("workers", sa.Column("problem", sa.Text(), nullable=True))


def downgrade() -> None:
    # Before, every file held the trials of one cohort.
    op.execute("DELETE FROM checkpoints WHERE slots IS NOT NULL")
    with op.batch_alter_table("checkpoints") as table:
        table.drop_column("slots")
    with op.batch_alter_table("workers") as table:
        table.drop_column("problem")
