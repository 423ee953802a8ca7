"""Messages that are run together: which jobs are one burst, and until when each waits for further ones.

The release before runs each of them by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("quiet_at", sa.DateTime(timezone=True)))
    op.add_column("jobs", sa.Column("joined_to", sa.BigInteger()))
    op.create_index("jobs_quiet", "jobs", ["quiet_at"], postgresql_where=sa.text("quiet_at IS NOT NULL"))
    op.create_index("jobs_joined", "jobs", ["joined_to"], postgresql_where=sa.text("joined_to IS NOT NULL"))
    op.create_table(
        "joined_jobs",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("leader", sa.BigInteger(), nullable=False, index=True),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
