"""The statements of a forwarder, each for many jobs at once. Pure: no I/O.

Names of targets' lanes have numbers below zero, and ``jobs_of_targets`` is an index of their jobs alone.
"""

from app.lanes import bursts

# A job that was stored while its conversation was being merged may have stayed behind in the merged lane
FIRST = """
  SELECT j.* FROM (
    SELECT {root} UNION ALL SELECT m.id FROM lanes m WHERE m.merged_into = {root}
  ) AS member (lane) CROSS JOIN LATERAL (
    SELECT * FROM jobs
    WHERE lane = member.lane AND (holds OR due_at <= clock_timestamp())
    ORDER BY occurred_at, delivery_id, position, id LIMIT {count}
  ) AS j
  ORDER BY j.occurred_at, j.delivery_id, j.position, j.id LIMIT {count}
"""
# Nobody has paused the lane, and the job that was begun last in it is no longer under way: one that came meanwhile,
# and is to run before it, waits for its answer
FREE = """
  NOT EXISTS (SELECT FROM lanes l WHERE {root} IN (l.id, l.merged_into) AND l.paused_at IS NOT NULL)
  AND NOT EXISTS (
    SELECT FROM jobs o WHERE o.id = (SELECT current_job_id FROM lanes l WHERE l.id = {root})
      AND o.begun_at > clock_timestamp() - make_interval(secs => {lease}))
"""

NAMES = """
PREPARE target_names (text[]) AS SELECT name, id FROM lane_names WHERE name = ANY($1)
"""
# Lanes of targets that are not known here, and have work: another release, or a target that was taken out
UNKNOWN = """
PREPARE target_unknown (smallint[]) AS
SELECT (SELECT handler FROM jobs WHERE lane_name_id < 0 AND lane_name_id = n.id LIMIT 1)
FROM lane_names n WHERE n.id < 0 AND n.id <> ALL ($1)
"""
PAUSED = """
PREPARE target_paused (text[]) AS SELECT name FROM paused_targets WHERE name = ANY($1)
"""

# Texts are joined, and their jobs alone have a ``quiet_at``: whatever else follows flushes
BURST = bursts.BURST.format(
    jobs=FIRST.format(root="{root}", count=bursts.MAX_JOINED + 1),
    seconds="{seconds}",
    breaks="j.quiet_at IS NULL",
)

# The first job of each lane of a target ($1 its lanes' name, $2 the target), if it may begin now: at most $5 of them,
# out of $4 lanes behind $3. One step in the index for each lane, however many jobs wait in it.
_HEADS = f"""
WITH RECURSIVE waiting (lane, step) AS (
  (SELECT lane, 1 FROM jobs WHERE lane_name_id < 0 AND lane_name_id = $1 AND lane > $3 ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT next.lane, step + 1 FROM waiting CROSS JOIN LATERAL (
    SELECT j.lane FROM jobs j WHERE lane_name_id < 0 AND lane_name_id = $1 AND j.lane > waiting.lane
    ORDER BY j.lane LIMIT 1
  ) AS next
  WHERE step < $4
), seen AS MATERIALIZED (
  SELECT lane FROM waiting
), root AS (
  SELECT DISTINCT coalesce((SELECT merged_into FROM lanes WHERE id = seen.lane), seen.lane) AS lane FROM seen
), ready AS (
  SELECT j.*, root.lane AS root_lane
  FROM root CROSS JOIN LATERAL ({FIRST.format(root="root.lane", count=1)}) AS j
  WHERE (j.due_at IS NULL OR j.due_at <= clock_timestamp()) AND j.handler = $2
    AND (j.begun_at IS NULL OR j.begun_at <= clock_timestamp() - make_interval(secs => $6))
    AND {FREE.format(root="root.lane", lease="$6")}
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.state = 'stored' AND d.id < j.delivery_id
                    AND d.accepted_at > clock_timestamp() - make_interval(secs => $7))
    AND {{is_complete}}
  ORDER BY root.lane LIMIT $5
)
SELECT (SELECT max(lane) FROM seen), (SELECT count(*) FROM seen), j.root_lane, j.id, j.attempts, j.attempts_at_retry,
       CAST(j.delivery_id AS text), e.accepted_at > clock_timestamp() - make_interval(secs => $7), j.replay_id,
       CAST(extract(epoch FROM clock_timestamp() - j.since) AS float8), e.id, e.key, e.kind, e.type,
       (SELECT c.key FROM lanes l JOIN conversations c ON c.id = l.conversation_id WHERE l.id = j.root_lane),
       e.occurred_at, e.accepted_at, coalesce(j.payload, e.payload), j.quiet_at IS NOT NULL
FROM (SELECT) AS one LEFT JOIN ready j ON true
LEFT JOIN LATERAL (SELECT * FROM events WHERE id = j.event_id OFFSET 0) AS e ON true
ORDER BY j.root_lane
"""  # noqa: S608  (constants)
HEADS = f"""
PREPARE target_heads (smallint, text, bigint, int, int, float8, float8) AS {_HEADS.format(is_complete="true")}
"""
# The same of a target that joins ($8): a burst that is open and not complete yet stands for no job
IS_COMPLETE = f"""
  (j.quiet_at IS NULL OR j.attempts > 0
   OR (SELECT b.is_complete FROM ({BURST.format(root="root.lane", seconds="$8")}) AS b))
"""  # noqa: S608  (constants)
HEADS_OF_BURSTS = f"""
PREPARE target_heads_of_bursts (smallint, text, bigint, int, int, float8, float8, float8) AS
{_HEADS.format(is_complete=IS_COMPLETE)}
"""

# Fix the bursts that these jobs begin, in the commit in which they are begun; return those that were complete
JOIN = f"""
PREPARE target_join (bigint[], float8) AS
WITH first AS MATERIALIZED (
  SELECT j.id, coalesce((SELECT merged_into FROM lanes l WHERE l.id = j.lane), j.lane) AS root_lane
  FROM jobs j WHERE j.id = ANY ($1) AND j.attempts = 0 AND j.quiet_at IS NOT NULL
  ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
), burst AS MATERIALIZED (
  SELECT first.id, b.ids
  FROM first CROSS JOIN LATERAL ({BURST.format(root="first.root_lane", seconds="$2")}) AS b
  WHERE b.is_open AND b.is_complete AND b.ids[1] = first.id
), joined AS (
  UPDATE jobs j SET joined_to = burst.id, quiet_at = NULL, holds = j.id = burst.id FROM burst
  WHERE j.id = ANY (burst.ids) AND j.attempts = 0 AND j.joined_to IS NULL
  RETURNING j.id, j.joined_to AS leader
), kept AS (
  INSERT INTO joined_jobs (job_id, leader) SELECT id, leader FROM joined
  WHERE leader IN (SELECT leader FROM joined GROUP BY leader HAVING count(*) > 1)
  ON CONFLICT (job_id) DO UPDATE SET leader = excluded.leader
)
SELECT id FROM burst
"""  # noqa: S608  (constants)

# A statement sees what was committed before it began. So lanes are locked before it is asked what is under way in them:
# what another forwarder begins at the same moment is seen then, and who is second leaves the lane alone. A job that is
# alone in its lane needs no lock but its own.
LOCK_LANES = """
PREPARE target_lock_lanes (bigint[]) AS
WITH locked AS MATERIALIZED (
  SELECT id FROM lanes WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
SELECT lane FROM unnest($1) AS asked (lane)
WHERE lane IN (SELECT id FROM locked) OR NOT EXISTS (SELECT FROM lanes WHERE id = lane)
"""

# What was true when the head was read is looked at again, under the lock of its lane ($5); who is second skips it. An
# attempt that was begun before and has no end was its forwarder's last: it becomes a past attempt.
BEGIN = f"""
PREPARE target_begin (bigint[], smallint[], text, float8, bigint[]) AS
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest($1, $2) AS a (id, attempts)
), before AS MATERIALIZED (
  SELECT j.id, j.attempts, j.worker, j.begun_at,
         coalesce((SELECT merged_into FROM lanes l WHERE l.id = j.lane), j.lane) AS root_lane
  FROM jobs j
  WHERE j.id = ANY ($1) AND j.attempts = (SELECT attempts FROM asked WHERE asked.id = j.id)
    AND (j.begun_at IS NULL OR j.begun_at <= clock_timestamp() - make_interval(secs => $4))
  ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
), begun AS (
  UPDATE jobs j SET
    attempts = j.attempts + 1, due_at = NULL, holds = true, worker = $3, begun_at = clock_timestamp(),
    late = j.replay_id IS NULL AND coalesce(
      (SELECT (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
                > (j.occurred_at, j.delivery_id, j.position)
       FROM lanes l WHERE l.id = before.root_lane), false)
  FROM before
  WHERE j.id = before.id AND before.root_lane = ANY ($5)
    AND j.id = (SELECT first.id FROM ({FIRST.format(root="before.root_lane", count=1)}) AS first)
    AND {FREE.format(root="before.root_lane", lease="$4")}
  RETURNING j.id, j.attempts, j.late, before.root_lane
), current AS (
  UPDATE lanes l SET current_job_id = begun.id FROM begun WHERE l.id = begun.root_lane
), lost AS (
  INSERT INTO past_attempts (job_id, number, worker, started_at)
  SELECT before.id, before.attempts, before.worker, before.begun_at FROM before JOIN begun USING (id)
  WHERE before.begun_at IS NOT NULL
  ON CONFLICT DO NOTHING
)
SELECT id, attempts, late FROM begun
"""  # noqa: S608  (constants)

# Only for the attempt that is counted now: another may have begun since
FINISH = """
PREPARE target_finish (bigint[], json) AS
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_recordset($2) AS g (id bigint, attempt smallint, answer text)
), finished AS (
  DELETE FROM jobs j USING given g
  WHERE j.id = ANY ($1) AND j.id = g.id AND j.attempts = g.attempt AND j.begun_at IS NOT NULL
  RETURNING j.*, g.answer, coalesce((SELECT m.merged_into FROM lanes m WHERE m.id = j.lane), j.lane) AS root_lane
), outcome AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, begun_at, finished_at, attempts, attempts_at_retry, state,
                        late, handler, worker, payload, replay_id, answer)
  SELECT id, event_id, lane, lane_name_id, begun_at, clock_timestamp(), attempts, attempts_at_retry, 'done', late,
         handler, worker, payload, replay_id, answer
  FROM finished
), mark AS (
  UPDATE lanes l
  SET watermark_occurred_at = f.occurred_at, watermark_delivery_id = f.delivery_id, watermark_position = f.position
  FROM finished f
  WHERE l.id = f.root_lane AND coalesce(
    (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
      < (f.occurred_at, f.delivery_id, f.position), true)
)
SELECT id FROM finished
"""

FAIL = """
PREPARE target_fail (bigint[], json) AS
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_recordset($2) AS g (
    id bigint, attempt smallint, after_seconds float8, costs smallint, error text, answer text)
), before AS MATERIALIZED (
  SELECT j.id, j.attempts, j.worker, j.begun_at, g.after_seconds, g.costs, g.error, g.answer
  FROM jobs j JOIN given g ON g.id = j.id AND g.attempt = j.attempts
  WHERE j.id = ANY ($1) AND j.begun_at IS NOT NULL ORDER BY j.id FOR UPDATE OF j
), failed AS (
  UPDATE jobs j SET
    error = before.error, holds = true, attempts_at_retry = attempts_at_retry + before.costs, begun_at = NULL,
    worker = NULL, due_at = clock_timestamp() + make_interval(secs => before.after_seconds)
  FROM before WHERE j.id = before.id
), past AS (
  INSERT INTO past_attempts (job_id, number, worker, started_at, finished_at, error, answer)
  SELECT id, attempts, worker, begun_at, clock_timestamp(), error, answer FROM before
  ON CONFLICT DO NOTHING
)
SELECT id FROM before
"""

DIE = """
PREPARE target_die (bigint[], json) AS
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_recordset($2) AS g (id bigint, attempt smallint, error text, answer text)
), failed AS (
  DELETE FROM jobs j USING given g
  WHERE j.id = ANY ($1) AND j.id = g.id AND j.attempts = g.attempt AND j.begun_at IS NOT NULL
  RETURNING j.*, g.error AS last_error, g.answer
), members AS (
  DELETE FROM jobs j USING failed f WHERE j.joined_to = f.id AND j.id <> f.id
  RETURNING j.*, f.handler AS led_by, f.last_error
), outcome_of_members AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, attempts, attempts_at_retry, state, handler,
                        error, payload, replay_id)
  SELECT id, event_id, lane, lane_name_id, clock_timestamp(), attempts, attempts_at_retry, 'dead', led_by, last_error,
         payload, replay_id
  FROM members
), outcome AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, attempts, attempts_at_retry, state, late,
                        handler, error, payload, replay_id)
  SELECT id, event_id, lane, lane_name_id, clock_timestamp(), attempts, attempts_at_retry, 'dead', late, handler,
         last_error, payload, replay_id
  FROM failed
), past AS (
  INSERT INTO past_attempts (job_id, number, worker, started_at, finished_at, error, answer)
  SELECT id, attempts, worker, begun_at, clock_timestamp(), last_error, answer FROM failed
  ON CONFLICT DO NOTHING
)
SELECT id FROM failed
"""

# What a forwarder had begun that is gone: its attempts have no end. From the second loss in a row on a job waits
IS_CURRENT = """
PREPARE target_is_current (bigint, smallint, text) AS
SELECT EXISTS (SELECT FROM jobs WHERE id = $1 AND attempts = $2 AND worker = $3 AND begun_at IS NOT NULL)
"""

LOST = """
PREPARE target_lost (text, float8) AS
WITH lost AS MATERIALIZED (
  SELECT id, attempts, attempts_at_retry, worker, begun_at FROM jobs
  WHERE lane_name_id < 0 AND worker = $1 AND begun_at IS NOT NULL ORDER BY id FOR UPDATE
), past AS (
  INSERT INTO past_attempts (job_id, number, worker, started_at) SELECT id, attempts, worker, begun_at FROM lost
  ON CONFLICT DO NOTHING
)
UPDATE jobs j SET
  begun_at = NULL, worker = NULL, due_at = CASE WHEN lost.attempts - lost.attempts_at_retry >= 2 THEN
    clock_timestamp() + make_interval(secs => least(power(2, lost.attempts - lost.attempts_at_retry - 1), $2)) END
FROM lost WHERE j.id = lost.id
RETURNING j.id
"""
