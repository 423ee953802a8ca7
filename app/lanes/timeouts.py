"""End what was expected for too long: a job for ``on_timeout``, in its place in the lane.

Promises: of an answer and its timeout one runs. The place of the timeout is the moment at which it was due, by
Postgres's clock: an answer that was written before that runs first, though the worker was away, and the timeout ends as
stale. Relies on beat, which has it looked for every second.
"""

from sqlalchemy import Engine, text

from config.logging import get_logger

AT_ONCE = 500

log = get_logger(__name__)

# The event is a copy of the one whose handler asked. Its delivery's id is the first that could have been given at that
# moment, so that it waits for what was accepted before.
MAKE_JOBS = text("""
WITH due AS MATERIALIZED (
  SELECT * FROM dialogs WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT :at_most FOR UPDATE SKIP LOCKED
), ended AS (
  UPDATE dialogs d SET due_at = NULL FROM due WHERE d.lane = due.lane
), event AS (
  INSERT INTO events (key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload)
  SELECT 'timeout:' || due.turned_by,
         CAST(lpad(to_hex(CAST(floor(extract(epoch FROM due.due_at) * 1000) AS bigint)), 12, '0') || repeat('0', 20)
              AS uuid),
         0, l.conversation_id, due.due_at, clock_timestamp(), 'timeout', due.expects, asked.payload
  FROM due JOIN lanes l ON l.id = due.lane JOIN events asked ON asked.id = due.asked_event_id
  ON CONFLICT (key) DO NOTHING
  RETURNING id, key, delivery_id, occurred_at
)
INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, handler)
SELECT event.id, event.id, due.lane, l.lane_name_id, event.occurred_at, event.delivery_id, 0, clock_timestamp(),
       due.timeout_handler
FROM event JOIN due ON event.key = 'timeout:' || due.turned_by JOIN lanes l ON l.id = due.lane
RETURNING lane
""")


def make_jobs(engine: Engine) -> list[int]:
    """Make the jobs of what has timed out, and return their lanes, which want to be woken.

    One transaction: dying before its commit changes nothing. Two at once pass over what the other has in its hands.
    """
    with engine.begin() as connection:
        lanes = list(connection.execute(MAKE_JOBS, {"at_most": AT_ONCE}).scalars())
    for lane in lanes:
        log.info("dialog.timed_out", lane=lane)
    return lanes
