"""What a person decides about events that wait for their next attempt: retry now, or skip.

Each decision is committed with who made it; the lanes are woken after the commit. An event that is being tried has no
due time and is left alone: its attempt may be about to succeed.
"""

from collections.abc import Sequence

from redis import Redis
from sqlalchemy import Engine, text

from app.dead_letters.action_result import ActionResult, add_refusals
from app.dead_letters.redis_sync import sync_redis
from config.logging import get_logger

# The action of a retry is not that of a dead letter's: those are what the deaths of a minute are counted by
RETRY = text("""
WITH retried AS (
  UPDATE events SET due_at = NULL, holds = true, attempts_at_retry = attempts
  WHERE state = 'pending' AND due_at IS NOT NULL AND error IS NOT NULL
    AND id IN (SELECT id FROM events WHERE id = ANY(:ids) AND state = 'pending' ORDER BY id FOR UPDATE)
  RETURNING id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, action, who) SELECT id, 'retry_held', :who FROM retried
)
SELECT id, lane FROM retried ORDER BY id
""")
SKIP = text("""
WITH skipped AS (
  UPDATE events SET state = 'discarded', finished_at = clock_timestamp(), due_at = NULL
  WHERE state = 'pending' AND due_at IS NOT NULL AND error IS NOT NULL
    AND id IN (SELECT id FROM events WHERE id = ANY(:ids) AND state = 'pending' ORDER BY id FOR UPDATE)
  RETURNING id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, action, who, reason) SELECT id, 'skip', :who, :reason FROM skipped
)
SELECT id, lane FROM skipped ORDER BY id
""")
REASONS = {"pending": "it waits for no next attempt: it is being tried, or waits for its turn"}

log = get_logger(__name__)


def retry_held(engine: Engine, redis: "Redis", ids: Sequence[int], who: str) -> ActionResult:
    """Make held events due now, with as many attempts as a new event has.

    1. commit the new due time, with who did it; 2. wake the lanes. Dying in between costs time: sweeps do 2.
    """
    with engine.begin() as connection:
        rows = connection.execute(RETRY, {"ids": list(ids), "who": who}).all()
    result = ActionResult([row.id for row in rows])
    for event_id in result.changed:
        log.info("event.retried", event_id=event_id, who=who)
    return _complete(engine, redis, ids, result, {row.lane for row in rows})


def skip_held(engine: Engine, redis: "Redis", ids: Sequence[int], who: str, reason: str) -> ActionResult:
    """Discard held events: they need not be handled, and their conversations go on. Their rows stay, with who and why.

    The steps are those of ``retry_held``.
    """
    with engine.begin() as connection:
        rows = connection.execute(SKIP, {"ids": list(ids), "who": who, "reason": reason}).all()
    result = ActionResult([row.id for row in rows])
    for event_id in result.changed:
        log.info("event.skipped", event_id=event_id, who=who, reason=reason)
    return _complete(engine, redis, ids, result, {row.lane for row in rows})


def _complete(
    engine: Engine, redis: "Redis", ids: Sequence[int], result: ActionResult, lanes: set[int]
) -> ActionResult:
    add_refusals(engine, ids, result, "held", REASONS)
    sync_redis(redis, [], lanes)
    return result
