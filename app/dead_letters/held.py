"""What a person decides about jobs that wait for their next attempt: retry now, or skip.

Each decision is committed with who made it; the lanes are woken after the commit. A job that is being tried has no
due time and is left alone: its attempt may be about to succeed.
"""

from collections.abc import Sequence

from redis import Redis
from sqlalchemy import Engine, text

from app.dead_letters.action_result import ActionResult, add_refusals
from app.dead_letters.bursts import with_members
from app.dead_letters.redis_sync import sync_redis
from config.logging import get_logger

# The action of a retry is not that of a dead letter's: those are what the deaths of a minute are counted by
RETRY = text("""
WITH retried AS (
  UPDATE jobs SET due_at = NULL, holds = true, attempts_at_retry = attempts, since = clock_timestamp()
  WHERE due_at IS NOT NULL AND error IS NOT NULL
    AND id IN (SELECT id FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR UPDATE)
  RETURNING id, event_id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, job_id, action, who) SELECT event_id, id, 'retry_held', :who FROM retried
)
SELECT id, lane FROM retried ORDER BY id
""")
SKIP = text("""
WITH first AS (
  DELETE FROM jobs
  WHERE due_at IS NOT NULL AND error IS NOT NULL
    AND id IN (SELECT id FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR UPDATE)
  RETURNING *
), members AS (
  DELETE FROM jobs j USING first f WHERE j.joined_to = f.id AND j.id <> f.id RETURNING j.*
), gone AS (
  SELECT * FROM first UNION ALL SELECT * FROM members
), skipped AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, attempts, attempts_at_retry, state, late,
  handler,
                        error, payload, replay_id)
  SELECT id, event_id, lane, lane_name_id, clock_timestamp(), attempts, attempts_at_retry, 'skipped', late, handler,
  error,
         payload, replay_id
  FROM gone
  RETURNING id, event_id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, job_id, action, who, reason)
  SELECT event_id, id, 'skip', :who, :reason FROM skipped
)
SELECT id, lane FROM skipped ORDER BY id
""")
REASONS = {"pending": "it waits for no next attempt: it is being tried, or waits for its turn"}

log = get_logger(__name__)


def retry_held(engine: Engine, redis: "Redis", ids: Sequence[int], who: str) -> ActionResult:
    """Make held jobs due now, with as many attempts as a new job has.

    1. commit the new due time, with who did it; 2. wake the lanes. Dying in between costs time: sweeps do 2.
    """
    with engine.begin() as connection:
        rows = connection.execute(RETRY, {"ids": with_members(connection, ids), "who": who}).all()
    result = ActionResult([row.id for row in rows])
    for job_id in result.changed:
        log.info("event.retried", job_id=job_id, who=who)
    return _complete(engine, redis, ids, result, {row.lane for row in rows})


def skip_held(engine: Engine, redis: "Redis", ids: Sequence[int], who: str, reason: str) -> ActionResult:
    """Skip held jobs: they need not be handled, and their lanes go on. Their outcomes stay, with who and why.

    The steps are those of ``retry_held``.
    """
    with engine.begin() as connection:
        parameters = {"ids": with_members(connection, ids), "who": who, "reason": reason}
        rows = connection.execute(SKIP, parameters).all()
    result = ActionResult([row.id for row in rows])
    for job_id in result.changed:
        log.info("event.skipped", job_id=job_id, who=who, reason=reason)
    return _complete(engine, redis, ids, result, {row.lane for row in rows})


def _complete(
    engine: Engine, redis: "Redis", ids: Sequence[int], result: ActionResult, lanes: set[int]
) -> ActionResult:
    add_refusals(engine, ids, result, "held", REASONS)
    sync_redis(redis, [], lanes)
    return result
