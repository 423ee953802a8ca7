"""States that come back are told from repeats, and a duplicate that differs is kept; a purged status is remembered."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


# Merges that overlapped left chains, which no lane follows to its end
FLATTEN_CHAINS = """
WITH RECURSIVE way (id, lane) AS (
  SELECT id, merged_into FROM conversations WHERE merged_into IS NOT NULL
  UNION
  SELECT way.id, c.merged_into FROM way JOIN conversations c ON c.id = way.lane WHERE c.merged_into IS NOT NULL
)
UPDATE conversations c SET merged_into = way.lane
FROM way JOIN conversations root ON root.id = way.lane
WHERE c.id = way.id AND root.merged_into IS NULL AND c.merged_into <> way.lane
"""


def upgrade() -> None:
    op.execute(FLATTEN_CHAINS)
    op.create_table(
        "subject_states",
        sa.Column("subject", sa.Text(collation="C"), primary_key=True),
        sa.Column("said_at", MOMENT, primary_key=True),
        sa.Column("content_key", sa.Text(collation="C"), primary_key=True),
        sa.Column("dated", sa.Boolean(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("accepted_at", MOMENT, nullable=False),
    )
    op.create_index("subject_states_accepted", "subject_states", ["accepted_at"])
    op.create_table(
        "changed_duplicates",
        sa.Column("event_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("item_digest", sa.Text(collation="C"), primary_key=True),
        sa.Column("delivery_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("accepted_at", MOMENT, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
    )
    op.add_column("deliveries", sa.Column("changed", sa.Integer(), server_default="0", nullable=False))
    op.add_column("message_statuses", sa.Column("purge_after", MOMENT, nullable=True))
    op.create_index(
        "message_statuses_purge",
        "message_statuses",
        ["purge_after"],
        postgresql_where=sa.text("purge_after IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("message_statuses_purge", "message_statuses")
    op.drop_column("message_statuses", "purge_after")
    op.drop_column("deliveries", "changed")
    op.drop_table("changed_duplicates")
    op.drop_table("subject_states")
