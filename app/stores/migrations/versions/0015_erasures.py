"""What is kept of people who were erased. The release before knows nothing of it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer(), sa.Identity(), primary_key=True),
        sa.Column("at", MOMENT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("chosen_by", sa.Text(), nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("events", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unfinished_jobs", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sends", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.create_table(
        "erased_keys",
        sa.Column("digest", sa.Text(collation="C"), primary_key=True),
        sa.Column("erased_at", MOMENT, server_default=sa.text("now()"), nullable=False),
    )
    op.create_index("erased_keys_at", "erased_keys", ["erased_at"])


def downgrade() -> None:
    op.drop_table("erased_keys")
    op.drop_table("erasures")
