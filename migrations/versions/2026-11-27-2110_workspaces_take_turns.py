"""a share of the queue for every workspace."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default of the database's own: code of before, which still runs, knows nothing of it.
    op.add_column("workspaces", sa.Column("turn", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_index("ix_workspaces_turn", "workspaces", ["turn"])
    op.drop_index("ix_experiments_line", "experiments")
    line = ["workspace_id", "state", "priority", "turn", "created_at", "id"]
    op.create_index("ix_experiments_line", "experiments", line)


def downgrade() -> None:
    op.drop_index("ix_experiments_line", "experiments")
    op.create_index("ix_experiments_line", "experiments", ["state", "priority", "turn", "created_at", "id"])
    op.drop_index("ix_workspaces_turn", "workspaces")
    with op.batch_alter_table("workspaces") as table:
        table.drop_column("turn")
