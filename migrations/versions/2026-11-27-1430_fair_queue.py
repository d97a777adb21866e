"""a share of the queue for every experiment; the device that a spec asks for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experiments", sa.Column("device", sa.String(8), nullable=True))
    op.add_column("experiments", sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("experiments", sa.Column("turn", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_index("ix_experiments_turn", "experiments", ["turn"])
    op.create_index("ix_experiments_line", "experiments", ["state", "priority", "turn", "created_at", "id"])
    op.create_index(
        "ix_cohorts_experiment", "cohorts", ["experiment_id", "state", "priority", "created_at", "position"]
    )
    running = sa.text("state = 'running'")
    op.create_index("ix_cohorts_running", "cohorts", ["experiment_id"], sqlite_where=running, postgresql_where=running)
    op.drop_index("ix_cohorts_experiment_id", "cohorts")


def downgrade() -> None:
    op.create_index("ix_cohorts_experiment_id", "cohorts", ["experiment_id"])
    op.drop_index("ix_cohorts_running", "cohorts")
    op.drop_index("ix_cohorts_experiment", "cohorts")
    op.drop_index("ix_experiments_line", "experiments")
    op.drop_index("ix_experiments_turn", "experiments")
    with op.batch_alter_table("experiments") as table:
        table.drop_column("turn")
        table.drop_column("priority")
        table.drop_column("device")
