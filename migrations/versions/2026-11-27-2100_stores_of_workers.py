"""the store that a worker keeps files in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("store_id", sa.String(40), nullable=True))
    op.add_column("workers", sa.Column("store_place", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("workers") as table:
        table.drop_column("store_place")
        table.drop_column("store_id")
