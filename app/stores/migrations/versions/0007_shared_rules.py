"""Rules that several packages ask for, each in one place: the lane of a merged conversation, and paused lanes."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The events of a merged conversation run in the lane of the one that it was merged into. Merges keep this to
    # one step: see FLATTEN_MERGES in app/ingest/conversations.py.
    op.execute("""
        CREATE FUNCTION root_lane(conversation_id bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
        RETURN (SELECT coalesce(merged_into, id) FROM conversations WHERE id = conversation_id)
    """)
    # A merged conversation's pause counts for the lane that it became a part of. A view, since the planner expands
    # it: it reads the index of what is paused, as the expression itself did.
    op.execute("""
        CREATE VIEW paused_lanes AS
        SELECT DISTINCT coalesce(merged_into, id) AS lane FROM conversations WHERE paused_at IS NOT NULL
    """)


def downgrade() -> None:
    op.execute("DROP VIEW paused_lanes")
    op.execute("DROP FUNCTION root_lane(bigint)")
