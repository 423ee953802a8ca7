"""What handlers send: one row for each message, and the numbers from which nothing may leave now."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATES = ("queued", "sending", "accepted", "unknown", "dead", "dropped", "cancelled")


def upgrade() -> None:
    state = postgresql.ENUM(*STATES, name="send_state", create_type=False)
    status = postgresql.ENUM(name="message_status", create_type=False)
    postgresql.ENUM(*STATES, name="send_state").create(op.get_bind())
    time = sa.DateTime(timezone=True)
    op.create_table(
        "sends",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("recipient_kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("outside_window", sa.Text()),
        sa.Column("window_closes_at", time),
        sa.Column("delays_next", status),
        sa.Column("cancel_key", sa.Text()),
        sa.Column("callback", sa.Uuid(), nullable=False),
        sa.Column("created_at", time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("state", state, server_default="queued", nullable=False),
        sa.Column("holds", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("due_at", time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("held_until", time),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("unsure", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("unknown_since", time),
        sa.Column("message_id", sa.Text(collation="C")),
        sa.Column("status", status),
        sa.Column("accepted_at", time),
        sa.Column("finished_at", time),
        sa.Column("error_code", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.UniqueConstraint("event_id", "handler", "step", name="sends_step"),
        sa.UniqueConstraint("callback", name="sends_callback"),
    )
    op.execute("ALTER TABLE sends SET (fillfactor = 70)")
    holding = sa.text("holds")
    op.create_index("sends_holding", "sends", ["number", "conversation", "id"], postgresql_where=holding)
    op.create_index("sends_held", "sends", ["held_until"], postgresql_where=sa.text("held_until IS NOT NULL"))
    op.create_index(
        "sends_undecided", "sends", ["id"], postgresql_where=sa.text("state IN ('unknown', 'dead')")
    )
    op.create_index(
        "sends_finished", "sends", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL")
    )
    op.create_index(
        "sends_cancel",
        "sends",
        ["cancel_key"],
        postgresql_where=sa.text("state = 'queued' AND cancel_key IS NOT NULL"),
    )
    op.create_index(
        "sends_message", "sends", ["message_id"], postgresql_where=sa.text("message_id IS NOT NULL")
    )
    op.create_table(
        "send_attempts",
        sa.Column("send_id", sa.BigInteger(), primary_key=True),
        sa.Column("number", sa.SmallInteger(), primary_key=True),
        sa.Column("at", time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
    )
    op.create_table(
        "send_actions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("send_id", sa.BigInteger(), nullable=False, index=True),
        sa.Column("at", time, server_default=sa.text("now()"), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
    )
    op.create_table(
        "stopped_numbers",
        sa.Column("number", sa.Text(), primary_key=True),
        sa.Column("since", time, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Integer()),
        sa.Column("error", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    for table in ("stopped_numbers", "send_actions", "send_attempts", "sends"):
        op.drop_table(table)
    op.execute("DROP TYPE send_state")
