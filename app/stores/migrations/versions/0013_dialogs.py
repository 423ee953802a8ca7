"""What handlers keep of a conversation from one message to the next, and the answers that they wait for.

The release before knows nothing of it: while it runs, its workers run an answer by its ordinary handler.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

# As of the migration 0010, with dialogs: of two lanes that become one the dialog that changed last goes on
MERGE_LANES = """
CREATE OR REPLACE FUNCTION merge_lanes(loser bigint, winner bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lost lanes;
  target bigint;
BEGIN
  FOR lost IN SELECT * FROM lanes WHERE conversation_id = loser ORDER BY id LOOP
    SELECT id INTO target FROM lanes
    WHERE conversation_id = winner AND lane_name_id = lost.lane_name_id AND merged_into IS NULL;
    IF target IS NULL THEN
      UPDATE lanes SET conversation_id = winner WHERE id = lost.id;
      CONTINUE;
    END IF;
    UPDATE jobs SET lane = target WHERE lane = lost.id;
    UPDATE outcomes SET lane = target WHERE lane = lost.id AND state = 'dead';
    UPDATE lanes SET merged_into = target WHERE id = lost.id;
    UPDATE lanes SET merged_into = target WHERE merged_into = lost.id;
    -- What is earlier than the last job done in either comes late
    UPDATE lanes w
    SET watermark_occurred_at = l.watermark_occurred_at, watermark_delivery_id = l.watermark_delivery_id,
        watermark_position = l.watermark_position
    FROM lanes l
    WHERE w.id = target AND l.id = lost.id AND l.watermark_occurred_at IS NOT NULL
      AND coalesce((w.watermark_occurred_at, w.watermark_delivery_id, w.watermark_position)
                   < (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position), true);
    -- Of two that run at this moment only one can become done; the other is run again
    UPDATE lanes w SET current_job_id = CASE
      WHEN l.current_job_id IS NULL OR EXISTS (
        SELECT FROM jobs j WHERE j.id = w.current_job_id AND j.begun_at IS NOT NULL
      ) THEN w.current_job_id ELSE l.current_job_id END
    FROM lanes l WHERE w.id = target AND l.id = lost.id;
    -- An attempt that writes the target's dialog at this moment is waited for, and its dialog stays
    DELETE FROM dialogs d USING dialogs other
    WHERE d.lane IN (target, lost.id) AND other.lane IN (target, lost.id) AND other.lane <> d.lane
      AND (d.changed_at, d.lane) < (other.changed_at, other.lane);
    WITH moved AS (DELETE FROM dialogs WHERE lane = lost.id RETURNING *)
    INSERT INTO dialogs (lane, changed_at, state, turned_by, turned_occurred_at, turned_delivery_id, turned_position,
                         expects, answer_handler, timeout_handler, due_at, asked_event_id)
    SELECT target, changed_at, state, turned_by, turned_occurred_at, turned_delivery_id, turned_position,
           expects, answer_handler, timeout_handler, due_at, asked_event_id
    FROM moved ON CONFLICT (lane) DO NOTHING;
  END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "dialogs",
        sa.Column("lane", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("state", sa.Text()),
        sa.Column("turned_by", sa.BigInteger()),
        sa.Column("turned_occurred_at", MOMENT),
        sa.Column("turned_delivery_id", sa.UUID()),
        sa.Column("turned_position", sa.Integer()),
        sa.Column("expects", sa.Text()),
        sa.Column("answer_handler", sa.Text()),
        sa.Column("timeout_handler", sa.Text()),
        sa.Column("due_at", MOMENT),
        sa.Column("asked_event_id", sa.BigInteger()),
    )
    op.create_index("dialogs_due", "dialogs", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index(
        "dialogs_asked", "dialogs", ["asked_event_id"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index("dialogs_changed", "dialogs", ["changed_at"])
    op.execute(MERGE_LANES)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
