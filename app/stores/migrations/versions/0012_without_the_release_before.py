"""Facts and jobs apart, step 3 of 3: without what only the release before reads and writes."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

EVENTS = (
    "state", "late", "attempts", "attempts_at_retry", "due_at", "holds", "handler", "error", "finished_at",
)  # fmt: skip
CONVERSATIONS = (
    "handled_occurred_at", "handled_delivery_id", "handled_position", "begun_event_id", "paused_at", "paused_by",
)  # fmt: skip


def upgrade() -> None:
    op.execute("DROP TRIGGER take_over ON events")
    op.execute("DROP TRIGGER take_over ON conversations")
    for function in (
        "take_over_event()", "take_over_conversation()", "move_finished_events(bigint, bigint)"
    ):  # fmt: skip
        op.execute(f"DROP FUNCTION {function}")
    for column in EVENTS:
        op.drop_column("events", column)
    for column in CONVERSATIONS:
        op.drop_column("conversations", column)
    op.drop_table("attempts")
    op.drop_table("finished_events_moved")
    op.execute("DROP TYPE event_state")
    # The release before purged events whose outcomes were here already
    op.execute("DELETE FROM outcomes o WHERE NOT EXISTS (SELECT FROM events e WHERE e.id = o.event_id)")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
