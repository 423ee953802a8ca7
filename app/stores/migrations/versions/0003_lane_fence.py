"""A lane remembers which event was begun last in it, so that a worker that lost its claims cannot overlap another."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conversations", sa.Column("begun_event_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("conversations", "begun_event_id")
