"""Targets: which are paused, what they answered, and a way to their jobs that no other job pays for.

The names of lanes of targets have numbers below zero. So no row of ``jobs`` has a column more, whoever inserts it, and
the index holds no other job.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Each attempt of each job, as before, with what a target answered
JOB_ATTEMPTS = """
CREATE OR REPLACE VIEW job_attempts AS
SELECT job_id, number, worker, started_at, finished_at, error, traceback, answer FROM past_attempts
UNION ALL
SELECT id, attempts, worker, begun_at, finished_at, NULL, NULL, answer FROM outcomes WHERE begun_at IS NOT NULL
UNION ALL
SELECT id, attempts, worker, begun_at, NULL, NULL, NULL, NULL FROM jobs WHERE begun_at IS NOT NULL
"""


def upgrade() -> None:
    op.create_table(
        "paused_targets",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("who", sa.Text()),
        sa.Column("reason", sa.Text()),
    )
    for table in ("past_attempts", "outcomes"):
        op.add_column(table, sa.Column("answer", sa.Text()))
    op.create_index(
        "jobs_of_targets", "jobs", ["lane_name_id", "lane", "occurred_at", "delivery_id", "position", "id"],
        postgresql_where=sa.text("lane_name_id < 0"),
    )  # fmt: skip
    op.execute(JOB_ATTEMPTS)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
