"""Pauses that say why, end by themselves, and may have what a person has seen skipped.

The release before pauses and resumes as ever; what it resumes is kept, and run.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lanes", sa.Column("paused_until", sa.DateTime(timezone=True)))
    op.add_column("lanes", sa.Column("paused_why", sa.Text()))
    op.add_column("lanes", sa.Column("skips_after", sa.BigInteger()))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
