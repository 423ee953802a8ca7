"""When a process last saw an alert's condition, and how many messages no handler took."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "backlog_samples", sa.Column("unhandled", sa.BigInteger(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("backlog_samples", "unhandled")
    op.drop_column("alerts", "seen_at")
