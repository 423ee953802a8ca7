"""Facts and jobs apart, step 2 of 3: every finished event has its outcome.

``migrate`` has moved them before, in parts; what is left is moved here.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT move_finished_events(up_to, last) FROM finished_events_moved")
    op.execute("UPDATE finished_events_moved SET up_to = last")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
