"""What the release before has stored, and what it stores while it still runs, as jobs and outcomes."""

from sqlalchemy import text

FILL_LANES = """
INSERT INTO lanes (id, conversation_id, lane_name_id, merged_into, watermark_occurred_at, watermark_delivery_id,
                   watermark_position, current_job_id, paused_at, paused_by)
SELECT id, id, 1, merged_into, handled_occurred_at, handled_delivery_id, handled_position, begun_event_id, paused_at,
       paused_by
FROM conversations
"""
FILL_JOBS = """
INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, due_at, begun_at,
attempts,
                  attempts_at_retry, holds, late, handler, worker, error)
SELECT e.id, e.id, e.lane, 1, e.occurred_at, e.delivery_id, e.position,
       greatest(e.accepted_at, (SELECT max(at) FROM dead_letter_actions d WHERE d.event_id = e.id),
                CASE WHEN e.attempts = e.attempts_at_retry THEN e.due_at END),
       e.due_at, a.started_at, e.attempts, e.attempts_at_retry, e.holds, e.late, coalesce(e.handler, ''), a.worker,
       e.error
FROM events e LEFT JOIN attempts a ON a.event_id = e.id AND a.number = e.attempts AND a.finished_at IS NULL
WHERE e.state = 'pending'
"""
FILL_DEAD = """
INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, attempts, attempts_at_retry, state, late, handler,
                      error)
SELECT id, id, lane, 1, coalesce(finished_at, accepted_at), attempts, attempts_at_retry, 'dead', late, handler, error
FROM events WHERE state = 'dead'
"""
FILL_ATTEMPTS = """
INSERT INTO past_attempts (job_id, number, worker, started_at, finished_at, error, traceback)
SELECT a.event_id, a.number, a.worker, a.started_at, a.finished_at, a.error, a.traceback
FROM events e JOIN attempts a ON a.event_id = e.id
WHERE e.state IN ('pending', 'dead')
  AND NOT (e.state = 'pending' AND a.number = e.attempts AND a.finished_at IS NULL)
"""

# What has been finished is moved afterwards, in parts that are committed one by one
MOVE_FINISHED = """
CREATE FUNCTION move_finished_events(after bigint, up_to bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, begun_at, finished_at, attempts, attempts_at_retry, state,
  late,
                        handler, worker, error)
  SELECT e.id, e.id, e.lane, 1, a.started_at, coalesce(e.finished_at, e.accepted_at), e.attempts, e.attempts_at_retry,
         CAST(CASE WHEN e.state = 'done' AND e.handler IS NULL AND e.type <> 'unreadable' THEN 'unhandled'
                   WHEN e.state = 'discarded' AND EXISTS (
                     SELECT FROM dead_letter_actions d WHERE d.event_id = e.id AND d.action = 'skip') THEN 'skipped'
                   ELSE e.state::text END AS job_state),
         e.late, e.handler, a.worker, e.error
  FROM events e
  LEFT JOIN attempts a ON a.event_id = e.id AND a.number = e.attempts AND a.error IS NULL AND a.finished_at IS NOT NULL
  WHERE e.id > after AND e.id <= up_to AND e.state IN ('done', 'discarded')
  ON CONFLICT DO NOTHING;
  INSERT INTO past_attempts (job_id, number, worker, started_at, finished_at, error, traceback)
  SELECT a.event_id, a.number, a.worker, a.started_at, a.finished_at, a.error, a.traceback
  FROM events e JOIN attempts a ON a.event_id = e.id
  WHERE e.id > after AND e.id <= up_to AND e.state IN ('done', 'discarded')
    AND (a.error IS NOT NULL OR a.finished_at IS NULL)
  ON CONFLICT DO NOTHING;
$$
"""

# For as long as a process of the release before runs. AFTER: of a duplicate nothing is inserted
TAKE_OVER_EVENT = """
CREATE FUNCTION take_over_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state = 'pending' THEN
    INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, handler)
    VALUES (NEW.id, NEW.id, NEW.lane, 1, NEW.occurred_at, NEW.delivery_id, NEW.position, NEW.accepted_at,
            coalesce(NEW.handler, ''));
  ELSE
    INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, state, handler, error)
    VALUES (NEW.id, NEW.id, NEW.lane, 1, coalesce(NEW.finished_at, clock_timestamp()),
            CAST(CASE NEW.state WHEN 'done' THEN 'unhandled' ELSE NEW.state::text END AS job_state), NEW.handler,
            NEW.error);
  END IF;
  UPDATE events SET state = NULL WHERE id = NEW.id;
  RETURN NULL;
END $$
"""
TAKE_OVER_CONVERSATION = """
CREATE FUNCTION take_over_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO lanes (id, conversation_id, lane_name_id) VALUES (NEW.id, NEW.id, 1) ON CONFLICT DO NOTHING;
    RETURN NULL;
  END IF;
  IF NEW.merged_into IS NOT NULL AND NEW.merged_into IS DISTINCT FROM OLD.merged_into THEN
    PERFORM merge_lanes(NEW.id, NEW.merged_into);
  END IF;
  IF NEW.paused_at IS DISTINCT FROM OLD.paused_at THEN
    UPDATE lanes SET paused_at = NEW.paused_at, paused_by = NEW.paused_by WHERE id = NEW.id;
  END IF;
  RETURN NULL;
END $$
"""

NOT_CONTRACTED = text("SELECT to_regclass('finished_events_moved') IS NOT NULL")
_OF_EVENTS = (
    "state", "late", "attempts", "attempts_at_retry", "due_at", "holds", "handler", "error", "finished_at",
)  # fmt: skip
_OF_CONVERSATIONS = (
    "handled_occurred_at", "handled_delivery_id", "handled_position", "begun_event_id", "paused_at", "paused_by",
)  # fmt: skip
# What only it reads and writes
CONTRACT = (
    "DROP TRIGGER take_over ON events",
    "DROP TRIGGER take_over ON conversations",
    "DROP FUNCTION take_over_event()",
    "DROP FUNCTION take_over_conversation()",
    "DROP FUNCTION move_finished_events(bigint, bigint)",
    *(f"ALTER TABLE events DROP COLUMN {column}" for column in _OF_EVENTS),
    *(f"ALTER TABLE conversations DROP COLUMN {column}" for column in _OF_CONVERSATIONS),
    "DROP TABLE attempts",
    "DROP TABLE finished_events_moved",
    "DROP TYPE event_state",
    # It purged events whose outcomes were here already
    "DELETE FROM outcomes o WHERE NOT EXISTS (SELECT FROM events e WHERE e.id = o.event_id)",
)
