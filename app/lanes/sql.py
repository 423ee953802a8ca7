"""The statements of a lane. Pure: no I/O."""

# A session that died with its machine keeps its row locks until Postgres misses it, and whoever waits for such a lock
# is a worker less
FINISH_LOCK_MS = 10_000

# A job that was stored while its conversation was being merged may have stayed behind in the merged lane: a lane's
# jobs are those of all lanes that belong to it. Names of targets' lanes have numbers below zero: a forwarder runs them.
FIRST = """
  SELECT j.* FROM (
    SELECT root.lane UNION ALL SELECT m.id FROM lanes m WHERE m.merged_into = root.lane
  ) AS member (lane) CROSS JOIN LATERAL (
    SELECT * FROM jobs
    WHERE lane = member.lane AND (holds OR due_at <= clock_timestamp()) AND lane_name_id > 0
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
       e.key, e.kind, e.type, l.key, e.occurred_at, e.accepted_at, coalesce(j.payload, e.payload),
       d.answer_handler, d.turned_by,
       coalesce((j.occurred_at, j.delivery_id, j.position)
                > (d.turned_occurred_at, d.turned_delivery_id, d.turned_position), true),
       j.joined_to,
       (SELECT r.id FROM replays r WHERE r.id = j.replay_id AND r.sends_again)
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
LEFT JOIN LATERAL (SELECT * FROM dialogs WHERE lane = root.lane OFFSET 0) AS d ON true
ORDER BY j.occurred_at, j.delivery_id, j.position, j.id
"""  # noqa: S608  (FIRST is a constant)

# These three are functions of the migration 0019, which say what they look at.
BEGIN = """
PREPARE lane_begin (bigint[], bigint[], smallint[], text[], bigint[], text, boolean, boolean) AS
SELECT * FROM begin_jobs_1($1, $2, $3, $4, $5, $6, $7, $8)
"""

FINISH = """
PREPARE lane_finish (bigint[], smallint[]) AS SELECT finish_jobs_1($1, $2)
"""

# The first are done, then the next are begun, of which those are left out that somebody has locked. OFFSET 0 keeps
# the second function behind the first.
HAND_OVER = """
PREPARE lane_hand_over (bigint[], smallint[], bigint[], bigint[], smallint[], text[], bigint[], text, boolean) AS
SELECT done, begun.* FROM finish_jobs_1($1, $2) AS done
LEFT JOIN LATERAL (SELECT * FROM begin_jobs_1($3, $4, $5, $6, $7, $8, $9, false) WHERE done OFFSET 0) AS begun ON true
"""

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
), members AS (
  DELETE FROM jobs j USING failed f WHERE j.joined_to = f.id AND j.id <> f.id RETURNING j.*
), outcome_of_members AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, attempts, attempts_at_retry, state, handler,
                        error, payload, replay_id)
  SELECT m.id, m.event_id, m.lane, m.lane_name_id, clock_timestamp(), m.attempts, m.attempts_at_retry, 'dead',
         f.handler, $3, m.payload, m.replay_id
  FROM members m CROSS JOIN failed f
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
