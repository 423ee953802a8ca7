"""How far a replay is, and whether what was sent leaves again.

The release before makes replays without these, and runs the jobs of any: it sends nothing again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replays", sa.Column("sends_again", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column("replays", sa.Column("events", sa.BigInteger()))
    op.add_column("replays", sa.Column("looked_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("replays", sa.Column("advanced_at", sa.DateTime(timezone=True)))
    op.add_column("replays", sa.Column("finished_at", sa.DateTime(timezone=True)))
    op.create_index("jobs_replay", "jobs", ["replay_id"], postgresql_where=sa.text("replay_id IS NOT NULL"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
