"""Facts and jobs apart, step 1 of 3: the new tables, and in them what is unfinished.

The release before goes on beside this one: what it stores becomes a job by a trigger. It finds nothing to run any more;
an attempt of its that is under way cannot commit, and is run again here.
"""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.release_before import (
    FILL_ATTEMPTS,
    FILL_DEAD,
    FILL_JOBS,
    FILL_LANES,
    MOVE_FINISHED,
    TAKE_OVER_CONVERSATION,
    TAKE_OVER_EVENT,
)

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = ("pending", "done", "dead", "discarded", "skipped", "stale", "unhandled")

# The lanes of a merged conversation go on as those of the one that it became a part of. Jobs are locked before their
# lanes, as an attempt that finishes locks them. Run twice it changes nothing more.
MERGE_LANES = """
CREATE FUNCTION merge_lanes(loser bigint, winner bigint) RETURNS void LANGUAGE plpgsql AS $$
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
  END LOOP;
END $$
"""

OUTCOMES = """
SELECT o.id, o.event_id, e.key, e.delivery_id, e.position, o.lane, o.lane_name_id, e.occurred_at, e.accepted_at, e.kind,
       e.type, coalesce(o.payload, e.payload) AS payload, o.state, o.late, o.attempts, o.attempts_at_retry,
       CAST(NULL AS timestamptz) AS due_at, true AS holds, o.handler, o.error, o.finished_at, o.begun_at, o.worker,
       o.replay_id, e.lane AS conversation_id
FROM outcomes o JOIN events e ON e.id = o.event_id
"""
# One row for each job, with what it is about
EVENT_JOBS = f"""
CREATE VIEW event_jobs AS
SELECT j.id, j.event_id, e.key, e.delivery_id, e.position, j.lane, j.lane_name_id, e.occurred_at, e.accepted_at, e.kind,
       e.type, coalesce(j.payload, e.payload) AS payload, CAST('pending' AS job_state) AS state, j.late, j.attempts,
       j.attempts_at_retry, j.due_at, j.holds, j.handler, j.error, CAST(NULL AS timestamptz) AS finished_at, j.begun_at,
       j.worker, j.replay_id, e.lane AS conversation_id
FROM jobs j JOIN events e ON e.id = j.event_id
UNION ALL
{OUTCOMES}"""  # noqa: S608  (constants)
# Of the dead alone: no UNION stands between the planner and the indexes of what is dead
DEAD_JOBS = f"CREATE VIEW dead_jobs AS {OUTCOMES} WHERE o.state = 'dead'"
# Each attempt of each job: those that failed or were lost, the one that succeeded, the one that runs
JOB_ATTEMPTS = """
CREATE VIEW job_attempts AS
SELECT job_id, number, worker, started_at, finished_at, error, traceback FROM past_attempts
UNION ALL
SELECT id, attempts, worker, begun_at, finished_at, NULL, NULL FROM outcomes WHERE begun_at IS NOT NULL
UNION ALL
SELECT id, attempts, worker, begun_at, NULL, NULL, NULL FROM jobs WHERE begun_at IS NOT NULL
"""


def upgrade() -> None:
    op.execute("LOCK TABLE events, attempts, conversations IN ACCESS EXCLUSIVE MODE")
    _create_tables()
    op.execute("INSERT INTO lane_names (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'main')")
    op.execute("SELECT setval(pg_get_serial_sequence('lane_names', 'id'), 1)")
    for statement in (FILL_LANES, FILL_JOBS, FILL_DEAD, FILL_ATTEMPTS, MOVE_FINISHED, MERGE_LANES):
        op.execute(statement)
    op.add_column("dead_letter_actions", sa.Column("job_id", sa.BigInteger()))
    op.execute("UPDATE dead_letter_actions SET job_id = event_id")
    op.alter_column("dead_letter_actions", "job_id", nullable=False)
    op.create_index(op.f("ix_dead_letter_actions_job_id"), "dead_letter_actions", ["job_id"])
    op.alter_column("events", "state", nullable=True)
    op.execute("UPDATE events SET state = NULL WHERE state IN ('pending', 'dead')")
    op.execute("""
        CREATE TABLE finished_events_moved AS
        SELECT CAST(0 AS bigint) AS up_to, coalesce(max(id), 0) AS last FROM events
    """)
    for statement in (TAKE_OVER_EVENT, TAKE_OVER_CONVERSATION):
        op.execute(statement)
    op.execute("""
        CREATE TRIGGER take_over AFTER INSERT ON events FOR EACH ROW WHEN (NEW.state IS NOT NULL)
        EXECUTE FUNCTION take_over_event()
    """)
    op.execute("""
        CREATE TRIGGER take_over AFTER INSERT OR UPDATE OF merged_into, paused_at ON conversations
        FOR EACH ROW EXECUTE FUNCTION take_over_conversation()
    """)
    op.execute("DROP FUNCTION root_lane(bigint)")
    op.execute("""
        CREATE FUNCTION root_lane(lane_id bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
        RETURN (SELECT coalesce(merged_into, id) FROM lanes WHERE id = lane_id)
    """)
    op.execute("""
        CREATE OR REPLACE VIEW paused_lanes AS
        SELECT DISTINCT coalesce(merged_into, id) AS lane FROM lanes WHERE paused_at IS NOT NULL
    """)
    op.execute(EVENT_JOBS)
    op.execute(DEAD_JOBS)
    op.execute(JOB_ATTEMPTS)


def _create_tables() -> None:
    states = sa.Enum(*STATES, name="job_state")
    op.create_table(
        "lane_names",
        sa.Column("id", sa.SmallInteger(), sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
    )
    op.create_table(
        "lanes",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("merged_into", sa.BigInteger()),
        sa.Column("watermark_occurred_at", MOMENT),
        sa.Column("watermark_delivery_id", sa.UUID()),
        sa.Column("current_job_id", sa.BigInteger()),
        sa.Column("paused_at", MOMENT),
        sa.Column("watermark_position", sa.Integer()),
        sa.Column("lane_name_id", sa.SmallInteger(), nullable=False),
        sa.Column("paused_by", sa.Text()),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("lane_name_id", sa.SmallInteger(), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("delivery_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("begun_at", MOMENT),
        sa.Column("replay_id", sa.Integer()),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("attempts_at_retry", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("holds", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("late", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("payload", sa.Text()),
        postgresql_with={
            "fillfactor": "50",
            "autovacuum_vacuum_scale_factor": "0.02",
            "autovacuum_vacuum_cost_delay": "0",
        },
    )
    op.create_table(
        "outcomes",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("begun_at", MOMENT),
        sa.Column("finished_at", MOMENT, nullable=False),
        sa.Column("replay_id", sa.Integer()),
        sa.Column("lane_name_id", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("attempts_at_retry", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("state", states, nullable=False),
        sa.Column("late", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("handler", sa.Text()),
        sa.Column("worker", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("payload", sa.Text()),
    )
    op.create_table(
        "past_attempts",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.SmallInteger(), primary_key=True),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("error", sa.Text()),
        sa.Column("traceback", sa.Text()),
    )
    op.create_table(
        "replays",
        sa.Column("id", sa.Integer(), sa.Identity(), primary_key=True),
        sa.Column("at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("chosen", sa.Text(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stopped_at", MOMENT),
        sa.Column("stopped_by", sa.Text()),
    )
    # Of outcomes the planner takes one in 200 for dead, at any hour: see the migration 0004
    op.execute("ALTER TABLE outcomes ALTER COLUMN state SET STATISTICS 0")
    _create_indexes()


def _create_indexes() -> None:
    op.create_index(
        "lanes_of_conversation", "lanes", ["conversation_id", "lane_name_id"], unique=True,
        postgresql_where=sa.text("merged_into IS NULL"),
    )  # fmt: skip
    op.create_index(
        "lanes_merged", "lanes", ["merged_into"], postgresql_where=sa.text("merged_into IS NOT NULL")
    )
    op.create_index("lanes_paused", "lanes", ["id"], postgresql_where=sa.text("paused_at IS NOT NULL"))
    op.create_index("jobs_lane", "jobs", ["lane", "occurred_at", "delivery_id", "position", "id"])
    op.create_index("jobs_event", "jobs", ["event_id"])
    op.create_index("jobs_due", "jobs", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index("outcomes_event", "outcomes", ["event_id"])
    op.create_index("outcomes_finished", "outcomes", ["finished_at"])
    op.create_index(
        "outcomes_stale", "outcomes", ["finished_at"], postgresql_where=sa.text("state = 'stale'")
    )
    op.create_index("outcomes_dead", "outcomes", ["id"], postgresql_where=sa.text("state = 'dead'"))
    op.create_index(
        "outcomes_died", "outcomes", ["finished_at", "id"], postgresql_where=sa.text("state = 'dead'")
    )
    op.create_index("outcomes_dead_lane", "outcomes", ["lane"], postgresql_where=sa.text("state = 'dead'"))
    op.create_index(
        "past_attempts_failed",
        "past_attempts",
        ["finished_at"],
        postgresql_where=sa.text("error IS NOT NULL"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
