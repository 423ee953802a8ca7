"""Which process posts a send, so that what a dead one was at is ended before its lease is.

The release before writes none: what it leaves waits for the lease.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sends", sa.Column("sender", sa.Text()))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
