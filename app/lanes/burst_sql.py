"""What a burst asks of Postgres: messages that one handler takes together, as one list. Pure: no I/O."""

from app.lanes.sql import FINISH_LOCK_MS, FIRST

MAX_JOINED = 50  # jobs of one burst
MAX_WAIT_SECONDS = 8  # that its first message waits for further ones

# The burst that the first of a lane's jobs ({jobs}) begins: its ``ids`` in their order, whether it is open still, and
# whether it is complete. It is when its user has been quiet for long enough, when it is full or its first message has
# waited for long enough, or when something follows that is not of it: another handler's job, a message that was sent
# later, or what {breaks} says. How long anything has waited is told by Postgres's clock, and what was sent together by
# Meta's, whose times are whole seconds.
BURST = f"""
  SELECT array_agg(id ORDER BY number) FILTER (WHERE is_member) AS ids, bool_or(is_open) AS is_open,
         NOT bool_and(is_member) OR count(*) = {MAX_JOINED}
         OR coalesce(max(quiet_at) <= clock_timestamp(), true)
         OR coalesce(max(quiet_at) FILTER (WHERE number = 1) + make_interval(secs => {MAX_WAIT_SECONDS} - {{seconds}})
                     <= clock_timestamp(), false) AS is_complete
  FROM (
    SELECT id, quiet_at, number, number = 1 AND attempts = 0 AND joined_to IS NULL AS is_open,
           number <= {MAX_JOINED} AND NOT bool_or(number > 1 AND breaks) OVER (ORDER BY number) AS is_member
    FROM (
      SELECT j.*, row_number() OVER place AS number,
             coalesce(j.occurred_at - lag(j.occurred_at) OVER place > make_interval(secs => ceil({{seconds}})), false)
             OR j.occurred_at - first_value(j.occurred_at) OVER place > make_interval(secs => {MAX_WAIT_SECONDS})
             OR j.handler <> first_value(j.handler) OVER place OR j.attempts > 0 OR j.joined_to IS NOT NULL
             OR j.due_at IS NOT NULL OR j.replay_id IS DISTINCT FROM first_value(j.replay_id) OVER place
             OR {{breaks}} AS breaks
      FROM ({{jobs}}) AS j
      WINDOW place AS (ORDER BY j.occurred_at, j.delivery_id, j.position, j.id)
    ) AS ordered
  ) AS counted
"""  # noqa: S608  (constants)

# From here on its jobs are those of its first, whatever comes
JOIN = f"""
PREPARE lane_join (bigint, bigint, float8) AS
WITH root AS MATERIALIZED (
  SELECT $2 AS lane
), burst AS MATERIALIZED (
  SELECT b.* FROM root CROSS JOIN LATERAL (
    {BURST.format(jobs=FIRST.format(count=MAX_JOINED + 1), seconds="$3", breaks="false")}
  ) AS b
  WHERE b.is_open AND b.ids[1] = $1
), joined AS (
  -- What neither holds nor is due is looked at by nobody
  UPDATE jobs j SET joined_to = b.ids[1], quiet_at = NULL, holds = j.id = b.ids[1] FROM burst b
  WHERE b.is_complete AND j.id = ANY (b.ids) AND j.attempts = 0 RETURNING j.id
), kept AS (
  INSERT INTO joined_jobs (job_id, leader) SELECT joined.id, $1 FROM joined
  WHERE (SELECT count(*) FROM joined) > 1
  ON CONFLICT (job_id) DO UPDATE SET leader = excluded.leader
)
SELECT EXISTS (SELECT FROM burst), (SELECT count(*) FROM joined)
"""  # noqa: S608  (constants)

# The events of a burst, in their order; of a job that is alone its own
MEMBERS = """
PREPARE lane_burst (bigint) AS
SELECT e.id, e.key, e.kind, e.type,
       (SELECT key FROM conversations c WHERE c.id = e.lane), e.occurred_at, e.accepted_at,
       j.replay_id IS NULL AND coalesce(
         (SELECT (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
                   > (j.occurred_at, j.delivery_id, j.position)
          FROM lanes l WHERE l.id = (SELECT root_lane(j.lane))), false),
       coalesce(j.payload, e.payload)
FROM jobs j JOIN events e ON e.id = j.event_id
WHERE j.id = $1 OR j.joined_to = $1
ORDER BY j.occurred_at, j.delivery_id, j.position, j.id
"""

# Before their leader is done, in the same transaction: jobs first, then their lane, as whoever merges lanes does
FINISH_MEMBERS = f"""
PREPARE lane_finish_members (bigint, smallint) AS
WITH bounded AS MATERIALIZED (
  SELECT set_config('lock_timeout', '{FINISH_LOCK_MS}', true)
), leader AS MATERIALIZED (
  SELECT id, attempts, attempts_at_retry, handler, worker, begun_at, clock_timestamp() AS finished_at
  FROM jobs, bounded WHERE id = $1 AND attempts = $2 AND begun_at IS NOT NULL FOR UPDATE OF jobs
), gone AS (
  DELETE FROM jobs j USING leader l WHERE j.joined_to = l.id AND j.id <> l.id
  RETURNING j.*, coalesce((SELECT m.merged_into FROM lanes m WHERE m.id = j.lane), j.lane) AS root
), outcome AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, begun_at, finished_at, attempts, attempts_at_retry, state,
                        handler, worker, payload, replay_id)
  SELECT g.id, g.event_id, g.lane, g.lane_name_id, l.begun_at, l.finished_at, l.attempts, l.attempts_at_retry, 'done',
         l.handler, l.worker, g.payload, g.replay_id
  FROM gone g CROSS JOIN leader l
), mark AS (
  UPDATE lanes l SET watermark_occurred_at = last.occurred_at, watermark_delivery_id = last.delivery_id,
                     watermark_position = last.position
  FROM (SELECT * FROM gone ORDER BY occurred_at DESC, delivery_id DESC, position DESC LIMIT 1) AS last
  WHERE l.id = last.root
    AND coalesce((l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
                 < (last.occurred_at, last.delivery_id, last.position), true)
)
SELECT count(*) FROM gone
"""  # noqa: S608  (the time is a constant)
