"""What a person decides about dead letters: retry, edit, discard.

Each decision is committed with who made it; Redis is brought in line after the commit.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from redis import Redis
from sqlalchemy import Engine, text

from app.dead_letters.action_result import ActionResult, add_refusals
from app.dead_letters.bursts import rejoin, with_members
from app.dead_letters.payloads import validate_payload
from app.dead_letters.redis_sync import sync_redis
from app.handlers import Registry
from app.ingest import Incoming, ingest
from app.stores import StoredIn
from config.logging import get_logger

log = get_logger(__name__)

# With a rate each job has a slot; until then it does not hold up its lane, as a dead letter does not either
RETRY = text("""
WITH dead AS MATERIALIZED (
  SELECT id FROM outcomes o WHERE id = ANY(:ids) AND state = 'dead'
    AND NOT EXISTS (SELECT FROM events e JOIN deliveries d ON d.id = e.delivery_id
                    WHERE e.id = o.event_id AND d.state = 'unreadable')
  ORDER BY id FOR UPDATE  -- two at once wait for each other, and never in a circle
), revived AS (
  DELETE FROM outcomes o USING dead WHERE o.id = dead.id AND o.state = 'dead' RETURNING o.*
), slots AS (
  SELECT r.*, e.occurred_at, e.delivery_id, e.position,
         CAST(:since AS timestamptz) + make_interval(secs => (:first + row_number() OVER (
           ORDER BY e.occurred_at, e.delivery_id, e.position, r.id) - 1) / CAST(:rate AS float)) AS slot
  FROM revived r JOIN events e ON e.id = r.event_id
), retried AS (
  INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, due_at, attempts,
                    attempts_at_retry, holds, handler, error, payload, replay_id)
  SELECT id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, coalesce(slot, clock_timestamp()), slot,
         attempts, attempts, slot IS NULL, coalesce(handler, ''), error, payload, replay_id
  FROM slots
  RETURNING id, event_id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, job_id, action, who) SELECT event_id, id, 'retry', :who FROM retried
)
SELECT id, lane FROM retried ORDER BY id
""")

# The job has the payload from now on; the event keeps what Meta sent
EDIT = text("""
WITH dead AS MATERIALIZED (
  SELECT id FROM outcomes o WHERE id = :id AND state = 'dead'
    AND NOT EXISTS (SELECT FROM events e JOIN deliveries d ON d.id = e.delivery_id
                    WHERE e.id = o.event_id AND d.state = 'unreadable')
  FOR UPDATE
), revived AS (
  DELETE FROM outcomes o USING dead WHERE o.id = dead.id AND o.state = 'dead' RETURNING o.*
), edited AS (
  INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, attempts,
                    attempts_at_retry, handler, error, payload, replay_id)
  SELECT r.id, r.event_id, r.lane, r.lane_name_id, e.occurred_at, e.delivery_id, e.position, clock_timestamp(),
  r.attempts,
         r.attempts, coalesce(r.handler, ''), r.error, :payload, r.replay_id
  FROM revived r JOIN events e ON e.id = r.event_id
  RETURNING id, event_id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, job_id, action, who, reason, payload)
  SELECT r.event_id, r.id, 'edit', :who, CAST(:reason AS text), coalesce(r.payload, e.payload)
  FROM revived r JOIN events e ON e.id = r.event_id
  UNION ALL SELECT event_id, id, 'retry', :who, NULL, NULL FROM edited
)
SELECT id, lane FROM edited
""")

DISCARD = text("""
WITH discarded AS (
  UPDATE outcomes SET state = 'discarded', finished_at = clock_timestamp()
  WHERE state = 'dead'
    AND id IN (SELECT id FROM outcomes WHERE id = ANY(:ids) AND state = 'dead' ORDER BY id FOR UPDATE)
  RETURNING id, event_id
), noted AS (
  INSERT INTO dead_letter_actions (event_id, job_id, action, who, reason)
  SELECT event_id, id, 'discard', :who, :reason FROM discarded
)
SELECT id FROM discarded ORDER BY id
""")

UNREADABLE_OF = text("""
SELECT o.id, d.id AS delivery_id, d.body, d.door
FROM outcomes o JOIN events e ON e.id = o.event_id JOIN deliveries d ON d.id = e.delivery_id
WHERE o.id = ANY(:ids) AND o.state = 'dead' AND d.state = 'unreadable'
""")

MARK_REPARSED = text("""
WITH done AS (
  UPDATE outcomes SET state = 'done', finished_at = clock_timestamp()
  WHERE id = :id AND state = 'dead'
    AND EXISTS (SELECT FROM events e JOIN deliveries d ON d.id = e.delivery_id
                WHERE e.id = outcomes.event_id AND d.state = 'split')
  RETURNING id, event_id
)
INSERT INTO dead_letter_actions (event_id, job_id, action, who) SELECT event_id, id, 'retry', :who FROM done
RETURNING job_id
""")

DIED_AGAIN = {"dead": "it died again this moment"}


@dataclass(frozen=True, slots=True)
class RetryRate:
    """How fast the jobs of a bulk retry may run: ``rate`` a second from ``since`` on, or all at once (None).

    ``first`` is the slot of the first of them, when a retry is done in parts.
    """

    rate: float | None = None
    since: datetime | None = None
    first: int = 0


def retry(
    engine: Engine,
    redis: "Redis",
    registry: Registry,
    ids: Sequence[int],
    who: str,
    rate: RetryRate | None = None,
) -> ActionResult:
    """Make dead jobs pending again, all at once, so that those of one lane run in their order.

    1. commit the new state, with who did it; 2. take the messages out of the queue and wake the lanes. Dying in
    between costs time: sweeps do 2. An unreadable delivery is read again instead. With a ``rate`` each job waits for
    its slot, and the sweep of due jobs wakes its lane.
    """
    result = ActionResult()
    with engine.begin() as connection:
        parameters = {"ids": with_members(connection, ids), "who": who, **asdict(rate or RetryRate())}
        retried = connection.execute(RETRY, parameters).all()
        rejoin(connection, [row.id for row in retried])
    result.changed = [row.id for row in retried]
    for job_id in result.changed:
        log.info("event.retried", job_id=job_id, who=who)
    _read_again(engine, redis, registry, ids, who, result)
    add_refusals(engine, ids, result, reasons=DIED_AGAIN)
    sync_redis(redis, result.changed, {row.lane for row in retried} if rate is None else set())
    return result


def edit(
    engine: Engine, redis: "Redis", job_id: int, payload: str, who: str, reason: str | None = None
) -> ActionResult:
    """Replace a dead job's payload and retry it; the payload before is kept with who and when, the event as it is.

    ``payload`` is JSON: an object with an ``item``, as handlers read it. Raises PayloadError where it is not.
    """
    parameters = {"id": job_id, "payload": validate_payload(payload), "who": who, "reason": reason}
    with engine.begin() as connection:
        edited = connection.execute(EDIT, parameters).all()
        others = with_members(connection, [row.id for row in edited])
        retry_others = {"ids": others, "who": who, **asdict(RetryRate())}
        retried = [*edited, *connection.execute(RETRY, retry_others)]
        rejoin(connection, others)
    result = ActionResult([row.id for row in retried])
    for row in edited:
        log.info("event.edited", job_id=row.id, who=who)
    for changed in result.changed:
        log.info("event.retried", job_id=changed, who=who)
    add_refusals(
        engine, [job_id], result, reasons={"dead": "its body cannot be read, so it has no payload to edit"}
    )
    sync_redis(redis, result.changed, {row.lane for row in retried})
    return result


def discard(engine: Engine, redis: "Redis", ids: Sequence[int], who: str, reason: str) -> ActionResult:
    """Discard dead jobs: they need not be handled. Their rows stay, with who and why."""
    with engine.begin() as connection:
        parameters = {"ids": with_members(connection, ids), "who": who, "reason": reason}
        result = ActionResult(list(connection.execute(DISCARD, parameters).scalars()))
    for job_id in result.changed:
        log.info("event.discarded", job_id=job_id, who=who, reason=reason)
    add_refusals(engine, ids, result, reasons=DIED_AGAIN)
    sync_redis(redis, result.changed, set())
    return result


def _read_again(
    engine: Engine, redis: "Redis", registry: Registry, ids: Sequence[int], who: str, result: ActionResult
) -> None:
    """Parse unreadable deliveries again; those that can be read now are dead letters no more."""
    with engine.connect() as connection:
        found = connection.execute(UNREADABLE_OF, {"ids": list(ids)}).all()
    for row in found:
        ingest(engine, redis, registry, [Incoming(row.delivery_id, bytes(row.body), StoredIn(row.door))])
        with engine.begin() as connection:
            if connection.execute(MARK_REPARSED, {"id": row.id, "who": who}).scalar() is None:
                result.refused[row.id] = "its body still cannot be read"
                continue
        result.changed.append(row.id)
        log.info("event.retried", job_id=row.id, who=who)
