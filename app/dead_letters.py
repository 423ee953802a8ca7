"""Dead letters: what failed for good, until a person retries or discards it.

The truth is ``events.state = 'dead'``. The queue ``dead_letters`` holds one message for each, consumed by nobody,
so that its length can be watched where queues are watched; ``reconcile`` makes it equal to the table.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, text

from app.envelope import retry_dead_letter_message
from app.handlers.registry import Registry
from app.ingest import Incoming, ingest
from app.models import Door
from app.wakes import wake
from config.celery import DEAD_LETTERS
from config.logging import get_logger

SETTLED_SECONDS = 5  # a death younger than this may still be on its way into the queue
MESSAGES_A_CALL = 1000
COMPARED_IN_FULL = 1000  # a longer queue is compared message by message only when its length is wrong

log = get_logger(__name__)

FIND = """
SELECT e.id, e.key, e.kind, e.type, c.key AS conversation, e.handler, e.error, e.attempts, e.occurred_at,
       e.accepted_at, e.finished_at AS died_at, e.delivery_id, e.payload
FROM events e LEFT JOIN conversations c ON c.id = e.lane
WHERE e.state = 'dead'
"""

RETRY = text("""
WITH retried AS (
  UPDATE events SET state = 'pending', attempts_at_retry = attempts, due_at = NULL, holds = true, finished_at = NULL
  WHERE id = ANY(:ids) AND state = 'dead'
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.id = delivery_id AND d.state = 'unreadable')
  RETURNING id, lane
), noted AS (
  INSERT INTO dead_letter_actions (event_id, action, who) SELECT id, 'retry', :who FROM retried
)
SELECT id, lane FROM retried ORDER BY id
""")

DISCARD = text("""
WITH discarded AS (
  UPDATE events SET state = 'discarded', finished_at = clock_timestamp()
  WHERE id = ANY(:ids) AND state = 'dead'
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


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead event, as people see it."""

    id: int
    key: str
    kind: str
    type: str
    conversation: str | None
    handler: str | None
    error: str | None
    attempts: int
    occurred_at: datetime
    accepted_at: datetime
    died_at: datetime
    delivery_id: str
    payload: str


@dataclass(slots=True)
class Decided:
    """What a retry or discard did: the events it changed, and why it left the others alone."""

    changed: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # event id → why


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters; None is any."""

    ids: Sequence[int] | None = None
    kind: str | None = None
    type: str | None = None
    handler: str | None = None
    error: str | None = None  # a part of the error's class or text
    conversation: str | None = None
    before: datetime | None = None  # died before
    after: datetime | None = None  # died at or after

    def where(self) -> tuple[str, dict[str, Any]]:
        """SQL conditions and their parameters."""
        conditions = {
            "ids": "e.id = ANY(:ids)",
            "kind": "e.kind = :kind",
            "type": "e.type = :type",
            "handler": "e.handler = :handler",
            "error": "strpos(lower(e.error), lower(:error)) > 0",
            "conversation": "c.key = :conversation",
            "before": "e.finished_at < :before",
            "after": "e.finished_at >= :after",
        }
        given = {name: getattr(self, name) for name in conditions if getattr(self, name) is not None}
        if "ids" in given:
            given["ids"] = list(given["ids"])
        return "".join(f" AND {conditions[name]}" for name in given), given


def find(
    connection: Connection, wanted: Filter, limit: int | None = None, after_id: int = 0
) -> list[DeadLetter]:
    """Dead letters with an id above ``after_id``, oldest first, at most ``limit``."""
    conditions, parameters = wanted.where()
    statement = text(FIND + conditions + " AND e.id > :after_id ORDER BY e.id LIMIT :limit")
    rows = connection.execute(statement, {**parameters, "after_id": after_id, "limit": limit})
    return [DeadLetter(**{**row, "delivery_id": str(row["delivery_id"])}) for row in rows.mappings()]


def retry(engine: Engine, redis: "Redis", registry: Registry, ids: Sequence[int], who: str) -> Decided:
    """Make dead events pending again, all at once, so that those of one conversation run in their order.

    1. commit the new state, with who did it; 2. take the messages out of the queue and wake the lanes. Dying in
    between costs time: sweeps do 2. An unreadable delivery is read again instead.
    """
    decided = Decided()
    with engine.begin() as connection:
        parameters = {"ids": list(ids), "who": who}
        retried = connection.execute(RETRY, parameters).all()
    decided.changed = [row.id for row in retried]
    for event_id in decided.changed:
        log.info("event.retried", event_id=event_id, who=who)
    _read_again(engine, redis, registry, ids, who, decided)
    _explain(engine, ids, decided)
    _hint(redis, decided.changed, {row.lane for row in retried})
    return decided


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
        ingest(engine, redis, registry, [Incoming(row.delivery_id, bytes(row.body), Door(row.door))])
        with engine.begin() as connection:
            if connection.execute(READ_AT_LAST, {"id": row.id, "who": who}).scalar() is None:
                decided.refused[row.id] = "its body still cannot be read"
                continue
        decided.changed.append(row.id)
        log.info("event.retried", event_id=row.id, who=who)


def _explain(engine: Engine, ids: Sequence[int], decided: Decided) -> None:
    """Say why the others were left alone: somebody else got there first, or there is no such event."""
    left = [id_ for id_ in ids if id_ not in set(decided.changed) and id_ not in decided.refused]
    if not left:
        return
    with engine.connect() as connection:
        states = {row.id: row.state for row in connection.execute(STATES, {"ids": left})}
    for id_ in left:
        state = states.get(id_)
        decided.refused[id_] = f"it is {state}, not dead" if state else "there is no event with this id"


def _hint(redis: "Redis", ids: Iterable[int], lanes: set[int]) -> None:
    """Bring Redis in line at once; while it is away the sweeps do it later."""
    try:
        _remove(redis, ids)
        wake(redis, lanes)
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
    removed = _drop(redis, surplus, 0) + _drop_doubles(redis, queued)
    if missing or removed:
        log.info("dead_letters.reconciled", added=len(missing), removed=removed)
    return len(missing), removed


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


def content(letter: DeadLetter) -> Any:
    """The letter's payload, decoded."""
    return json.loads(letter.payload)
