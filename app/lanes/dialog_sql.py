"""What an attempt asks of the dialog of its lane. Pure: no I/O."""

# The job is locked first, as by whoever merges its lane into another: then its lane stays what it is
OF_JOB = """
  SELECT id, event_id, occurred_at, delivery_id, position,
         coalesce((SELECT merged_into FROM lanes WHERE id = j.lane), j.lane) AS lane
  FROM jobs j WHERE id = $1 AND attempts = $2 FOR UPDATE
"""

READ_STATE = """
PREPARE lane_state (bigint) AS
SELECT state FROM dialogs WHERE lane = (SELECT root_lane($1))
"""

KEEP_STATE = f"""
PREPARE lane_keep_state (bigint, smallint, text) AS
WITH job AS MATERIALIZED ({OF_JOB})
INSERT INTO dialogs AS d (lane, changed_at, state) SELECT lane, clock_timestamp(), $3 FROM job
ON CONFLICT (lane) DO UPDATE SET changed_at = excluded.changed_at, state = excluded.state
"""  # noqa: S608  (OF_JOB is a constant)

# $7: of a timeout, whose place is a time of Postgres's clock: the place of the question stays that of the last turn
TURN = f"""
PREPARE lane_turn (bigint, smallint, text, text, text, float8, boolean) AS
WITH job AS MATERIALIZED ({OF_JOB})
INSERT INTO dialogs AS d (
  lane, changed_at, turned_by, turned_occurred_at, turned_delivery_id, turned_position,
  expects, answer_handler, timeout_handler, due_at, asked_event_id)
SELECT lane, clock_timestamp(), id, occurred_at, delivery_id, position, $3, $4, $5,
       clock_timestamp() + make_interval(secs => $6), event_id
FROM job
ON CONFLICT (lane) DO UPDATE SET
  changed_at = excluded.changed_at, turned_by = excluded.turned_by,
  turned_occurred_at = CASE WHEN $7 THEN d.turned_occurred_at ELSE excluded.turned_occurred_at END,
  turned_delivery_id = CASE WHEN $7 THEN d.turned_delivery_id ELSE excluded.turned_delivery_id END,
  turned_position = CASE WHEN $7 THEN d.turned_position ELSE excluded.turned_position END,
  expects = excluded.expects, answer_handler = excluded.answer_handler,
  timeout_handler = excluded.timeout_handler, due_at = excluded.due_at, asked_event_id = excluded.asked_event_id
"""  # noqa: S608  (OF_JOB is a constant)

# Unless the dialog has taken a turn since the head was read: then it may be wanted after all. A message that other
# handlers have too is no unhandled one.
END_UNRUN = """
PREPARE lane_end_unrun (bigint, text, bigint) AS
WITH gone AS (
  DELETE FROM jobs j
  WHERE id = $1 AND begun_at IS NULL AND NOT EXISTS (
    SELECT FROM dialogs d WHERE d.lane = (SELECT root_lane(j.lane)) AND d.turned_by IS DISTINCT FROM $3
  )
  RETURNING *
), outcome AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, attempts, attempts_at_retry, state, handler,
                        payload, replay_id)
  SELECT id, event_id, lane, lane_name_id, clock_timestamp(), attempts, attempts_at_retry, CAST($2 AS job_state),
         CASE WHEN $2 <> 'unhandled' THEN handler END, payload, replay_id
  FROM gone
  WHERE $2 <> 'unhandled' OR NOT (
    EXISTS (SELECT FROM jobs o WHERE o.event_id = gone.event_id AND o.id <> gone.id)
    OR EXISTS (SELECT FROM outcomes o WHERE o.event_id = gone.event_id))
)
SELECT count(*) FROM gone
"""
