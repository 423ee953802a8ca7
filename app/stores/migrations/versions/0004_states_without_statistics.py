"""No statistics of the events' states: what was true when they were gathered misleads the planner ever after.

Gathered in a quiet hour they say that nothing is pending. In the next burst the planner takes each partial index of
what is pending for empty, and reads the whole of one for every event that it looks up. Without statistics it takes
one event in 200 for pending, at any hour: then the index that names the lane, or the event, is always the cheaper.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE events ALTER COLUMN state SET STATISTICS 0")
    # What was gathered already would be kept; to be given a type, even the one that it has, drops it. The table stays
    # as it is, but the indexes that depend on the state are made anew, in seconds for each million of events.
    op.execute("ALTER TABLE events ALTER COLUMN state TYPE event_state")


def downgrade() -> None:
    op.execute("ALTER TABLE events ALTER COLUMN state SET STATISTICS -1")
