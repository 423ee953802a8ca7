"""Begin and finish jobs by functions: less work for Postgres, and one round trip for the end of one and the next.

Each has the number of its version in its name. What changes one adds another beside it, so that workers of the release
before go on with theirs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# A session that died with its machine keeps its row locks until Postgres misses it. Whoever waits for such a lock is
# a worker less, so nothing waits for long; the job stays as it is, and a sweep wakes its lane.
BEGIN_LOCK_MS = 1000  # nothing has been done yet
FINISH_LOCK_MS = 10_000  # a handler's work would be lost

# Returns a row for each attempt that was counted; none for a job that may not run any more.
# The fence: a row changes only for the attempt that it counts now (`attempts` never goes back), and a job is done
# only if it is the one that was begun last in its lane. Both hold whatever becomes of the claims.
# What was true when the head was read is looked at again under the claim: a job that was stored meanwhile may
# be the first now, one that was done meanwhile makes this one late, and a person may have paused the lane.
# The dialog may have taken a turn: then another handler may be the one to run it.
# An attempt that was begun before and has no end is lost: it becomes a past attempt here. If it ran in a group, any
# other of the group may have ended the worker, so it does not count.
# ``waits``: wait for locks, where nothing else is in this transaction; else jobs that are locked are left out.
BEGIN = f"""
CREATE FUNCTION begin_jobs_1(
  asked bigint[], ids bigint[], counted smallint[], handlers text[], turned bigint[], by text, in_group boolean,
  waits boolean
) RETURNS TABLE (job_id bigint, number smallint, number_at_retry smallint, is_late boolean, was_lost boolean)
LANGUAGE plpgsql AS $$
DECLARE
  root bigint;
  first bigint;
  l lanes;
  j jobs;
BEGIN
  IF waits THEN
    PERFORM set_config('lock_timeout', '{BEGIN_LOCK_MS}', true);
  END IF;
  FOR i IN 1 .. cardinality(ids) LOOP
    SELECT * INTO l FROM lanes WHERE id = asked[i];
    root := coalesce(l.merged_into, asked[i]);
    IF l.merged_into IS NOT NULL THEN
      SELECT * INTO l FROM lanes WHERE id = root;
    END IF;
    CONTINUE WHEN l.paused_at IS NOT NULL;
    -- A job that was stored while its conversation was being merged may have stayed behind in the merged lane
    IF EXISTS (SELECT FROM lanes WHERE merged_into = root) THEN
      CONTINUE WHEN EXISTS (SELECT FROM lanes WHERE merged_into = root AND paused_at IS NOT NULL);
      SELECT head.id INTO first FROM (
        SELECT root UNION ALL SELECT id FROM lanes WHERE merged_into = root
      ) AS member (lane) CROSS JOIN LATERAL (
        SELECT * FROM jobs WHERE lane = member.lane AND (holds OR due_at <= clock_timestamp()) AND lane_name_id > 0
        ORDER BY occurred_at, delivery_id, position, id LIMIT 1
      ) AS head
      ORDER BY head.occurred_at, head.delivery_id, head.position, head.id LIMIT 1;
    ELSE
      SELECT id INTO first FROM jobs WHERE lane = root AND (holds OR due_at <= clock_timestamp()) AND lane_name_id > 0
      ORDER BY occurred_at, delivery_id, position, id LIMIT 1;
    END IF;
    CONTINUE WHEN first IS DISTINCT FROM ids[i];
    CONTINUE WHEN EXISTS (SELECT FROM dialogs d WHERE d.lane = root AND d.turned_by IS DISTINCT FROM turned[i]);
    IF waits THEN
      SELECT * INTO j FROM jobs WHERE id = ids[i] AND attempts = counted[i];
    ELSE
      SELECT * INTO j FROM jobs WHERE id = ids[i] AND attempts = counted[i] FOR UPDATE SKIP LOCKED;
      CONTINUE WHEN NOT FOUND;
      IF l.id IS NOT NULL THEN
        PERFORM FROM lanes WHERE id = root FOR NO KEY UPDATE SKIP LOCKED;
      END IF;
    END IF;
    CONTINUE WHEN NOT FOUND;
    UPDATE jobs SET
      attempts = attempts + 1, due_at = NULL, holds = true, handler = handlers[i], worker = by,
      begun_at = clock_timestamp(), grouped = in_group,
      attempts_at_retry = attempts_at_retry + CAST(begun_at IS NOT NULL AND grouped AS int),
      late = replay_id IS NULL AND coalesce(
        (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
        > (occurred_at, delivery_id, position), false)
    WHERE id = ids[i] AND attempts = counted[i]
    RETURNING id, attempts, attempts_at_retry, late, j.begun_at IS NOT NULL
    INTO job_id, number, number_at_retry, is_late, was_lost;
    CONTINUE WHEN NOT FOUND;
    UPDATE lanes SET current_job_id = ids[i] WHERE id = root;
    IF was_lost THEN
      INSERT INTO past_attempts (job_id, number, worker, started_at)
      VALUES (j.id, j.attempts, j.worker, j.begun_at) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$
"""  # noqa: S608  (the time is a constant)

# Inside the transaction of their effects the jobs are done; false if one may not be: then roll back.
# First all jobs, then their lanes: so does whoever merges lanes, and two never wait for each other.
FINISH = f"""
CREATE FUNCTION finish_jobs_1(ids bigint[], numbers smallint[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  done jobs[];
  j jobs;
  l lanes;
BEGIN
  PERFORM set_config('lock_timeout', '{FINISH_LOCK_MS}', true);
  FOR i IN 1 .. cardinality(ids) LOOP
    DELETE FROM jobs WHERE id = ids[i] AND attempts = numbers[i] AND begun_at IS NOT NULL RETURNING * INTO j;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    done[i] := j;
  END LOOP;
  FOREACH j IN ARRAY done LOOP
    UPDATE lanes SET
      watermark_occurred_at = j.occurred_at, watermark_delivery_id = j.delivery_id, watermark_position = j.position
    WHERE id = j.lane AND merged_into IS NULL AND current_job_id = j.id
      AND coalesce((watermark_occurred_at, watermark_delivery_id, watermark_position)
                   < (j.occurred_at, j.delivery_id, j.position), true);
    IF NOT FOUND THEN  -- it is late, its lane was merged, or another was begun
      SELECT * INTO l FROM lanes
      WHERE id = coalesce((SELECT merged_into FROM lanes WHERE id = j.lane), j.lane) FOR NO KEY UPDATE;
      IF FOUND AND (l.current_job_id = j.id AND l.merged_into IS NULL) IS NOT TRUE THEN
        RETURN false;
      END IF;
      UPDATE lanes SET
        watermark_occurred_at = j.occurred_at, watermark_delivery_id = j.delivery_id, watermark_position = j.position
      WHERE id = l.id
        AND coalesce((watermark_occurred_at, watermark_delivery_id, watermark_position)
                     < (j.occurred_at, j.delivery_id, j.position), true);
    END IF;
    INSERT INTO outcomes (id, event_id, lane, lane_name_id, begun_at, finished_at, attempts, attempts_at_retry, state,
                          late, handler, worker, payload, replay_id)
    VALUES (j.id, j.event_id, j.lane, j.lane_name_id, j.begun_at, clock_timestamp(), j.attempts, j.attempts_at_retry,
            'done', j.late, j.handler, j.worker, j.payload, j.replay_id);
  END LOOP;
  RETURN true;
END $$
"""  # noqa: S608  (the time is a constant)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("grouped", sa.Boolean(), server_default="false", nullable=False))
    op.execute(BEGIN)
    op.execute(FINISH)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
