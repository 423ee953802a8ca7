"""When a process last saw an alert's condition, and an index of the messages that no handler took."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "events_unhandled",
        "events",
        ["finished_at"],
        postgresql_where=sa.text("state = 'done' AND handler IS NULL AND kind = 'message'"),
    )


def downgrade() -> None:
    op.drop_index("events_unhandled", "events")
    op.drop_column("alerts", "seen_at")
