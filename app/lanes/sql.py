"""The seven statements of a lane. Pure: no I/O."""

# A session that died with its machine keeps its row locks until Postgres misses it. Whoever waits for such a lock is
# a worker less, so no statement waits for long; the job stays as it is, and a sweep wakes its lane.
BEGIN_LOCK_MS = 1000  # nothing has been done yet
FINISH_LOCK_MS = 10_000  # a handler's work would be lost

# A job that was stored while its conversation was being merged may have stayed behind in the merged lane: a lane's
# jobs are those of all lanes that belong to it.
FIRST = """
  SELECT j.* FROM (
    SELECT root.lane UNION ALL SELECT m.id FROM lanes m WHERE m.merged_into = root.lane
  ) AS member (lane) CROSS JOIN LATERAL (
    SELECT * FROM jobs
    WHERE lane = member.lane AND (holds OR due_at <= clock_timestamp())
    ORDER BY occurred_at, delivery_id, position, id
    LIMIT {count}
  ) AS j
  ORDER BY j.occurred_at, j.delivery_id, j.position, j.id
  LIMIT {count}
"""

# OFFSET 0 keeps the planner from unfolding a subquery: what is in it would be asked once for each place that uses it,
# and a table of lanes without statistics be read as a whole.
HEADS = f"""
PREPARE lane_heads (bigint[], int, float8) AS
SELECT root.asked, root.lane, ARRAY(SELECT m.id FROM lanes m WHERE m.merged_into = root.lane),
       l.paused_at IS NOT NULL
         OR EXISTS (SELECT FROM lanes m WHERE m.merged_into = root.lane AND m.paused_at IS NOT NULL),
       coalesce(j.due_at <= clock_timestamp(), true),
       NOT EXISTS (SELECT FROM deliveries d WHERE d.state = 'stored' AND d.id < j.delivery_id
                   AND d.accepted_at > clock_timestamp() - make_interval(secs => $3)),
       j.attempts, j.attempts_at_retry, CAST(j.delivery_id AS text), j.id, j.event_id,
       (SELECT name FROM lane_names n WHERE n.id = j.lane_name_id), j.handler, j.replay_id IS NOT NULL,
       e.key, e.kind, e.type, l.key, e.occurred_at, e.accepted_at, coalesce(j.payload, e.payload)
FROM (
  SELECT asked, coalesce((SELECT merged_into FROM lanes WHERE id = asked), asked) AS lane
  FROM unnest($1) AS asked OFFSET 0
) AS root
LEFT JOIN LATERAL (
  SELECT paused_at, (SELECT key FROM conversations c WHERE c.id = conversation_id) AS key
  FROM lanes WHERE id = root.lane OFFSET 0
) AS l ON true
CROSS JOIN LATERAL ({FIRST.format(count="$2")}) AS j
CROSS JOIN LATERAL (SELECT * FROM events WHERE id = j.event_id OFFSET 0) AS e
ORDER BY j.occurred_at, j.delivery_id, j.position, j.id
"""  # noqa: S608  (FIRST is a constant)

# The fence: a row changes only for the attempt that it counts now (`attempts` never goes back), and a job is done
# only if it is the one that was begun last in its lane. Both hold whatever becomes of the claims.
# What was true when the head was read is looked at again under the claim: a job that was stored meanwhile may
# be the first now, one that was done meanwhile makes this one late, and a person may have paused the lane.
# An attempt that was begun before and has no end is lost: it becomes a past attempt here.
BEGIN = f"""
PREPARE lane_begin (bigint, bigint, smallint, text, text) AS
WITH root AS MATERIALIZED (
  SELECT coalesce((SELECT merged_into FROM lanes WHERE id = $1), $1) AS lane,
         set_config('lock_timeout', '{BEGIN_LOCK_MS}', true)
), before AS MATERIALIZED (
  SELECT id, attempts, worker, begun_at FROM jobs WHERE id = $2 AND attempts = $3 AND begun_at IS NOT NULL
), begun AS (
  UPDATE jobs j SET
    attempts = attempts + 1, due_at = NULL, holds = true, handler = $5, worker = $4, begun_at = clock_timestamp(),
    late = j.replay_id IS NULL AND coalesce(
      (SELECT (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
                > (j.occurred_at, j.delivery_id, j.position)
       FROM lanes l WHERE l.id = (SELECT lane FROM root)), false)
  WHERE id = $2 AND attempts = $3
    AND id = (SELECT first.id FROM root CROSS JOIN LATERAL ({FIRST.format(count="1")}) AS first)
    AND NOT EXISTS (SELECT FROM lanes l WHERE l.id = (SELECT lane FROM root) AND l.paused_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM lanes m
                    WHERE m.merged_into = (SELECT lane FROM root) AND m.paused_at IS NOT NULL)
  RETURNING id, attempts, late
), fence AS (
  UPDATE lanes l SET current_job_id = begun.id FROM begun WHERE l.id = (SELECT lane FROM root)
), lost AS (
  INSERT INTO past_attempts (job_id, number, worker, started_at)
  SELECT before.id, before.attempts, before.worker, before.begun_at FROM before JOIN begun USING (id)
  ON CONFLICT DO NOTHING
)
SELECT attempts, late, EXISTS (SELECT FROM before) FROM begun
"""  # noqa: S608  (FIRST is a constant)

# The fence is read from the row as it is after a merge that this waited for: in a WHERE it would be looked for in the
# row as it was when the statement began.
FINISH = f"""
PREPARE lane_finish (bigint, smallint) AS
WITH bounded AS MATERIALIZED (
  SELECT set_config('lock_timeout', '{FINISH_LOCK_MS}', true)
), finished AS (
  DELETE FROM jobs WHERE id = $1 AND attempts = $2 AND begun_at IS NOT NULL AND EXISTS (SELECT FROM bounded)
  RETURNING *, coalesce((SELECT m.merged_into FROM lanes m WHERE m.id = jobs.lane), jobs.lane) AS root
), outcome AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, begun_at, finished_at, attempts, attempts_at_retry, state,
  late,
                        handler, worker, payload, replay_id)
  SELECT id, event_id, lane, lane_name_id, begun_at, clock_timestamp(), attempts, attempts_at_retry, 'done', late,
         handler, worker, payload, replay_id
  FROM finished
), mark AS (
  UPDATE lanes l
  SET (watermark_occurred_at, watermark_delivery_id, watermark_position) = (
    SELECT occurred_at, delivery_id, position
    FROM (VALUES (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position),
                 (f.occurred_at, f.delivery_id, f.position)) AS either (occurred_at, delivery_id, position)
    WHERE occurred_at IS NOT NULL
    ORDER BY occurred_at DESC, delivery_id DESC, position DESC LIMIT 1
  )
  FROM finished f
  WHERE l.id = f.root
  RETURNING l.current_job_id = f.id AND l.merged_into IS NULL AS is_ours
)
SELECT count(*) FROM finished f
WHERE EXISTS (SELECT FROM mark WHERE is_ours) OR NOT EXISTS (SELECT FROM lanes l WHERE l.id = f.root)
"""  # noqa: S608  (the time is a constant)

RETRY = f"""
PREPARE lane_retry (bigint, smallint, float8, boolean, text, text, smallint) AS
WITH bounded AS MATERIALIZED (
  SELECT set_config('lock_timeout', '{FINISH_LOCK_MS}', true)
), before AS MATERIALIZED (
  SELECT id, attempts, worker, begun_at FROM jobs WHERE id = $1 AND attempts = $2
), failed AS (
  UPDATE jobs SET
    error = $5, holds = $4, attempts_at_retry = attempts_at_retry + $7, begun_at = NULL, worker = NULL,
    due_at = clock_timestamp() + make_interval(secs => $3)
  WHERE id = $1 AND attempts = $2 AND begun_at IS NOT NULL AND EXISTS (SELECT FROM bounded)
  RETURNING id
), past AS (
  INSERT INTO past_attempts (job_id, number, worker, started_at, finished_at, error, traceback)
  SELECT before.id, attempts, worker, begun_at, clock_timestamp(), $5, $6 FROM before JOIN failed USING (id)
  ON CONFLICT DO NOTHING
)
SELECT count(*) FROM failed
"""  # noqa: S608  (the time is a constant)

DIE = f"""
PREPARE lane_die (bigint, smallint, text, text) AS
WITH bounded AS MATERIALIZED (
  SELECT set_config('lock_timeout', '{FINISH_LOCK_MS}', true)
), failed AS (
  DELETE FROM jobs WHERE id = $1 AND attempts = $2 AND EXISTS (SELECT FROM bounded) RETURNING *
), outcome AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, attempts, attempts_at_retry, state, late,
  handler,
                        error, payload, replay_id)
  SELECT id, event_id, lane, lane_name_id, clock_timestamp(), attempts, attempts_at_retry, 'dead', late, handler,
         $3, payload, replay_id
  FROM failed
), past AS (
  INSERT INTO past_attempts (job_id, number, worker, started_at, finished_at, error, traceback)
  SELECT id, attempts, worker, begun_at, clock_timestamp(), $3, $4 FROM failed WHERE begun_at IS NOT NULL
  ON CONFLICT DO NOTHING
)
SELECT count(*) FROM failed
"""  # noqa: S608  (the time is a constant)

# Before it was ever begun, by Postgres's clock
EXPIRE = """
PREPARE lane_expire (bigint, float8) AS
WITH stale AS (
  DELETE FROM jobs
  WHERE id = $1 AND attempts = 0 AND replay_id IS NULL
    AND occurred_at < clock_timestamp() - make_interval(secs => $2)
  RETURNING *
), outcome AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, state, handler)
  SELECT id, event_id, lane, lane_name_id, clock_timestamp(), 'stale', handler FROM stale
)
SELECT count(*) FROM stale
"""

# Codes that stand in ``app.stores.faults`` as "try again", by the names that psycopg2 gives their errors, and the
# fence's own
TRIED_AGAIN = """
PREPARE lane_tried_again (bigint) AS
SELECT count(*) FROM past_attempts WHERE job_id = $1
  AND split_part(error, ':', 1) IN ('SerializationFailure', 'DeadlockDetected', 'LockNotAvailable', 'StaleAttempt')
"""
