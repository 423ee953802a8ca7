"""What Flower's pages show: edited payloads, paused conversations, charts, and the indexes they are read by."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNTS = (
    "journal", "second_door", "pending", "held_lanes", "workers", "arrived", "done", "failed_attempts", "died",
)  # fmt: skip


def upgrade() -> None:
    op.add_column("conversations", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("conversations", sa.Column("paused_by", sa.Text(), nullable=True))
    op.add_column("dead_letter_actions", sa.Column("payload", sa.Text(), nullable=True))
    for name in COUNTS:
        op.add_column("backlog_samples", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "conversations_paused", "conversations", ["id"], postgresql_where=sa.text("paused_at IS NOT NULL")
    )
    op.create_index(
        "events_died", "events", ["finished_at", "id"], postgresql_where=sa.text("state = 'dead'")
    )
    op.create_index("events_dead_lane", "events", ["lane"], postgresql_where=sa.text("state = 'dead'"))
    op.create_index("events_done", "events", ["finished_at"], postgresql_where=sa.text("state = 'done'"))
    op.create_index("events_lane", "events", ["lane", "occurred_at", "delivery_id", "position"])
    op.create_index(
        "attempts_failed", "attempts", ["finished_at"], postgresql_where=sa.text("error IS NOT NULL")
    )
    op.create_index("deliveries_ingested", "deliveries", ["ingested_at"])
    op.create_index(op.f("ix_dead_letter_actions_at"), "dead_letter_actions", ["at"])


def downgrade() -> None:
    for name in ("events_died", "events_dead_lane", "events_done", "events_lane"):
        op.drop_index(name, "events")
    op.drop_index("attempts_failed", "attempts")
    op.drop_index("deliveries_ingested", "deliveries")
    op.drop_index(op.f("ix_dead_letter_actions_at"), "dead_letter_actions")
    op.drop_index("conversations_paused", "conversations")
    for name in COUNTS:
        op.drop_column("backlog_samples", name)
    op.drop_column("dead_letter_actions", "payload")
    op.drop_column("conversations", "paused_by")
    op.drop_column("conversations", "paused_at")
