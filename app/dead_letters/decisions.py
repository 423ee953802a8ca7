"""Dead letters: what failed for good, until a person retries, mends or discards it.

The truth is ``events.state = 'dead'``. The queue ``dead_letters`` holds one message for each, consumed by nobody,
so that its length can be watched where queues are watched; ``reconcile`` makes it equal to the table.
"""

import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, WatchError
from sqlalchemy import Engine, text

from app.broker import retry_dead_letter_message, wake
from app.errors import NeverdropError
from app.handlers import Registry
from app.ingest import Incoming, ingest
from app.payload import canonical
from app.stores import StoredIn
from app.views import DeadLetter, Filter, content, find
from config.celery import DEAD_LETTERS
from config.logging import get_logger

__all__ = ["DeadLetter", "Filter", "content", "find"]  # found there, decided about here

SETTLED_SECONDS = 5  # a death younger than this may still be on its way into the queue
MESSAGES_A_CALL = 1000
COMPARISONS_AT_ONCE = 2_000_000  # that a removal may cost Redis, which answers nobody else meanwhile
COMPARED_IN_FULL = 1000  # a longer queue is compared message by message only when its length is wrong

log = get_logger(__name__)

# With a rate each has a turn of its own: until then it holds nobody up, as a dead letter would not
RETRY = text("""
WITH turns AS (
  SELECT id, :first + row_number() OVER (ORDER BY occurred_at, delivery_id, position) - 1 AS turn
  FROM (
    SELECT id, occurred_at, delivery_id, position FROM events WHERE id = ANY(:ids) AND state = 'dead'
    ORDER BY id FOR UPDATE  -- two at once wait for each other, and never in a circle
  ) AS dead
), retried AS (
  UPDATE events e SET
    state = 'pending', attempts_at_retry = attempts, finished_at = NULL, holds = CAST(:rate AS float) IS NULL,
    due_at = CAST(:since AS timestamptz) + make_interval(secs => turn / CAST(:rate AS float))
  FROM turns
  WHERE e.id = turns.id AND state = 'dead'
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.id = delivery_id AND d.state = 'unreadable')
  RETURNING e.id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, action, who) SELECT id, 'retry', :who FROM retried
)
SELECT id, lane FROM retried ORDER BY id
""")

EDIT = text("""
WITH original AS (
  SELECT id, payload FROM events WHERE id = :id AND state = 'dead'
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.id = delivery_id AND d.state = 'unreadable')
  FOR UPDATE
), edited AS (
  UPDATE events e SET payload = :payload, state = 'pending', attempts_at_retry = attempts, due_at = NULL,
    holds = true, finished_at = NULL
  FROM original WHERE e.id = original.id AND e.state = 'dead'
  RETURNING e.id, e.lane, original.payload AS before
), noted AS (
  INSERT INTO dead_letter_actions (event_id, action, who, reason, payload)
  SELECT id, 'edit', :who, CAST(:reason AS text), before FROM edited
  UNION ALL SELECT id, 'retry', :who, NULL, NULL FROM edited
)
SELECT id, lane FROM edited
""")

DISCARD = text("""
WITH discarded AS (
  UPDATE events SET state = 'discarded', finished_at = clock_timestamp()
  WHERE state = 'dead'
    AND id IN (SELECT id FROM events WHERE id = ANY(:ids) AND state = 'dead' ORDER BY id FOR UPDATE)
  RETURNING id
), noted AS (
  INSERT INTO dead_letter_actions (event_id, action, who, reason)
  SELECT id, 'discard', :who, :reason FROM discarded
)
SELECT id FROM discarded ORDER BY id
""")

STATES = text("SELECT id, state::text FROM events WHERE id = ANY(:ids)")

UNREADABLE_OF = text("""
SELECT e.id, d.id AS delivery_id, d.body, d.door
FROM events e JOIN deliveries d ON d.id = e.delivery_id
WHERE e.id = ANY(:ids) AND e.state = 'dead' AND d.state = 'unreadable'
""")

READ_AT_LAST = text("""
WITH done AS (
  UPDATE events SET state = 'done', finished_at = clock_timestamp()
  WHERE id = :id AND state = 'dead'
    AND EXISTS (SELECT FROM deliveries d WHERE d.id = delivery_id AND d.state = 'split')
  RETURNING id
)
INSERT INTO dead_letter_actions (event_id, action, who) SELECT id, 'retry', :who FROM done RETURNING event_id
""")

DEAD_COUNT = text("SELECT count(*) FROM events WHERE state = 'dead'")
DEAD_IDS = text("""
SELECT id, finished_at < clock_timestamp() - make_interval(secs => :settled) AS settled
FROM events WHERE state = 'dead'
""")


class PayloadError(NeverdropError):
    """A mended payload that no handler could read."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a bulk retry lets its events run: ``rate`` a second from ``since`` on; None is all at once.

    ``first`` is the turn of the first of them, when a retry is done in parts.
    """

    rate: float | None = None
    since: datetime | None = None
    first: int = 0


@dataclass(slots=True)
class Decided:
    """What a retry or discard did: the events it changed, and why it left the others alone."""

    changed: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # event id → why


def retry(
    engine: Engine,
    redis: "Redis",
    registry: Registry,
    ids: Sequence[int],
    who: str,
    pace: Pace | None = None,
) -> Decided:
    """Make dead events pending again, all at once, so that those of one conversation run in their order.

    1. commit the new state, with who did it; 2. take the messages out of the queue and wake the lanes. Dying in
    between costs time: sweeps do 2. An unreadable delivery is read again instead. With a ``pace`` each waits for
    its turn, and the sweep of what is due wakes its lane.
    """
    decided = Decided()
    with engine.begin() as connection:
        parameters = {"ids": list(ids), "who": who, **asdict(pace or Pace())}
        retried = connection.execute(RETRY, parameters).all()
    decided.changed = [row.id for row in retried]
    for event_id in decided.changed:
        log.info("event.retried", event_id=event_id, who=who)
    _read_again(engine, redis, registry, ids, who, decided)
    _explain(engine, ids, decided)
    _hint(redis, decided.changed, {row.lane for row in retried} if pace is None else set())
    return decided


def edit(
    engine: Engine, redis: "Redis", event_id: int, payload: str, who: str, reason: str | None = None
) -> Decided:
    """Mend a dead event's payload and retry it; the payload before is kept with who and when.

    ``payload`` is JSON: an object with an ``item``, as handlers read it. Raises PayloadError where it is not.
    """
    parameters = {"id": event_id, "payload": mended(payload), "who": who, "reason": reason}
    with engine.begin() as connection:
        edited = connection.execute(EDIT, parameters).all()
    decided = Decided([row.id for row in edited])
    for changed in decided.changed:
        log.info("event.edited", event_id=changed, who=who)
        log.info("event.retried", event_id=changed, who=who)
    _explain(engine, [event_id], decided, "its body cannot be read, so it has no payload to mend")
    _hint(redis, decided.changed, {row.lane for row in edited})
    return decided


def mended(payload: str) -> str:
    """The payload as it is stored. Raises PayloadError, which says where it is not JSON. Pure."""
    try:
        content = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"this is not JSON: {error or type(error).__name__}") from error
    if not isinstance(content, dict) or "item" not in content:
        raise PayloadError('the payload must be an object with an "item": handlers read it')
    return canonical(content)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def discard(engine: Engine, redis: "Redis", ids: Sequence[int], who: str, reason: str) -> Decided:
    """Decide that dead events need not be handled; their rows stay, with who and why."""
    with engine.begin() as connection:
        parameters = {"ids": list(ids), "who": who, "reason": reason}
        decided = Decided(list(connection.execute(DISCARD, parameters).scalars()))
    for event_id in decided.changed:
        log.info("event.discarded", event_id=event_id, who=who, reason=reason)
    _explain(engine, ids, decided)
    _hint(redis, decided.changed, set())
    return decided


def _read_again(
    engine: Engine, redis: "Redis", registry: Registry, ids: Sequence[int], who: str, decided: Decided
) -> None:
    """Split unreadable deliveries with today's code; those that it can read are dead letters no more."""
    with engine.connect() as connection:
        found = connection.execute(UNREADABLE_OF, {"ids": list(ids)}).all()
    for row in found:
        ingest(engine, redis, registry, [Incoming(row.delivery_id, bytes(row.body), StoredIn(row.door))])
        with engine.begin() as connection:
            if connection.execute(READ_AT_LAST, {"id": row.id, "who": who}).scalar() is None:
                decided.refused[row.id] = "its body still cannot be read"
                continue
        decided.changed.append(row.id)
        log.info("event.retried", event_id=row.id, who=who)


def _explain(
    engine: Engine, ids: Sequence[int], decided: Decided, dead: str = "it died again this moment"
) -> None:
    """Say why the others were left alone: somebody else got there first, or there is no such event."""
    left = [id_ for id_ in ids if id_ not in set(decided.changed) and id_ not in decided.refused]
    if not left:
        return
    with engine.connect() as connection:
        states = {row.id: row.state for row in connection.execute(STATES, {"ids": left})}
    for id_ in left:
        state = states.get(id_)
        if state is None:
            decided.refused[id_] = "there is no event with this id"
        else:
            decided.refused[id_] = dead if state == "dead" else f"it is {state}, not dead"


def _hint(redis: "Redis", ids: Sequence[int], lanes: set[int]) -> None:
    """Bring Redis in line at once; while it is away, or where it takes long, the sweeps do it later."""
    try:
        wake(redis, lanes)
        if len(ids) * redis.llen(DEAD_LETTERS) <= COMPARISONS_AT_ONCE:
            _remove(redis, ids)
    except RedisError as error:
        log.warning("dead_letters.queue_not_reached", error=str(error))


def announce(redis: "Redis", event_id: int) -> None:
    """Put a new dead letter into the queue that people watch."""
    try:
        redis.lpush(DEAD_LETTERS, retry_dead_letter_message(event_id))
    except RedisError as error:
        log.warning("dead_letters.queue_not_reached", event_id=event_id, error=str(error))


def reconcile(engine: Engine, redis: "Redis") -> tuple[int, int]:
    """Make the queue equal to the table; (added, removed).

    The queue is read before the table, so that a message of an event that died in between is not taken for one
    too many; an event that died just now is left to ``announce``.
    """
    length = redis.llen(DEAD_LETTERS)
    with engine.connect() as connection:
        if length == connection.execute(DEAD_COUNT).scalar() and length > COMPARED_IN_FULL:
            return 0, 0
        queued: Any = redis.lrange(DEAD_LETTERS, 0, -1)
        dead = {row.id: row.settled for row in connection.execute(DEAD_IDS, {"settled": SETTLED_SECONDS})}
    expected = {retry_dead_letter_message(id_): settled for id_, settled in dead.items()}
    present = set(queued)
    missing = [message for message, settled in expected.items() if settled and message not in present]
    surplus = [message for message in present if message not in expected]
    for start in range(0, len(missing), MESSAGES_A_CALL):
        redis.lpush(DEAD_LETTERS, *missing[start : start + MESSAGES_A_CALL])
    if len(surplus) * len(queued) > COMPARISONS_AT_ONCE:
        removed = _rebuild(redis, expected)
    else:
        removed = _drop(redis, surplus, 0) + _drop_doubles(redis, queued)
    if missing or removed:
        log.info("dead_letters.reconciled", added=len(missing), removed=removed)
    return len(missing), removed


def _rebuild(redis: "Redis", expected: Container[bytes]) -> int:
    """Write the queue anew without what is not expected and without doubles; how many were left out.

    If somebody changes it meanwhile nothing is written, and the next sweep does it.
    """
    with redis.pipeline(transaction=True) as pipe:
        pipe.watch(DEAD_LETTERS)  # type: ignore[no-untyped-call]
        queued: Any = pipe.lrange(DEAD_LETTERS, 0, -1)
        kept = [message for message in dict.fromkeys(queued) if message in expected]
        pipe.multi()
        pipe.delete(DEAD_LETTERS)
        for start in range(0, len(kept), MESSAGES_A_CALL):
            pipe.rpush(DEAD_LETTERS, *kept[start : start + MESSAGES_A_CALL])
        try:
            pipe.execute()
        except WatchError:
            return 0
    return len(queued) - len(kept)


def _drop_doubles(redis: "Redis", queued: Sequence[bytes]) -> int:
    seen: set[bytes] = set()
    doubles = [message for message in queued if message in seen or seen.add(message)]  # type: ignore[func-returns-value]
    return _drop(redis, doubles, 1)


def _remove(redis: "Redis", ids: Iterable[int]) -> None:
    _drop(redis, [retry_dead_letter_message(id_) for id_ in ids], 0)


def _drop(redis: "Redis", messages: Sequence[bytes], count: int) -> int:
    """Remove ``count`` copies of each message, 0 for all; how many were removed."""
    if not messages:
        return 0
    with redis.pipeline(transaction=False) as pipe:
        for message in messages:
            pipe.lrem(DEAD_LETTERS, count, message)  # type: ignore[arg-type]
        return sum(pipe.execute())
