"""What a lane asks of Postgres: six statements. A handler's own go through SQLAlchemy beside them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from app.lanes.rows import Begun, Failure, Head
from app.stores import Prepared, TransactionError

# A session that died with its machine keeps its row locks until Postgres misses it. Whoever waits for such a lock is
# a worker less, so no statement waits for long; the event stays as it is, and a sweep wakes its lane.
BEGIN_LOCK_MS = 1000  # nothing has been done yet
FINISH_LOCK_MS = 10_000  # a handler's work would be lost

# An event that was stored while its conversation was being merged may have stayed behind in the merged lane: a
# lane's events are those of all lanes that belong to it.
FIRST = """
  SELECT e.* FROM (
    SELECT root.lane UNION ALL SELECT m.id FROM conversations m WHERE m.merged_into = root.lane
  ) AS member (lane) CROSS JOIN LATERAL (
    SELECT * FROM events
    WHERE lane = member.lane AND state = 'pending' AND (holds OR due_at <= clock_timestamp())
    ORDER BY occurred_at, delivery_id, position
    LIMIT {count}
  ) AS e
  ORDER BY e.occurred_at, e.delivery_id, e.position
  LIMIT {count}
"""

# OFFSET 0 keeps the planner from unfolding a subquery: what is in it would be asked once for each place that uses it,
# and a table of conversations without statistics be read as a whole.
HEADS = f"""
PREPARE lane_heads (bigint[], int, float8) AS
SELECT root.asked, root.lane, ARRAY(SELECT m.id FROM conversations m WHERE m.merged_into = root.lane),
       c.paused_at IS NOT NULL
         OR EXISTS (SELECT FROM conversations m WHERE m.merged_into = root.lane AND m.paused_at IS NOT NULL),
       coalesce(e.due_at <= clock_timestamp(), true),
       NOT EXISTS (SELECT FROM deliveries d WHERE d.state = 'stored' AND d.id < e.delivery_id
                   AND d.accepted_at > clock_timestamp() - make_interval(secs => $3)),
       e.attempts, e.attempts_at_retry, CAST(e.delivery_id AS text),
       e.id, e.key, e.kind, e.type, e.handler, c.key, e.occurred_at, e.accepted_at, e.payload
FROM (
  SELECT asked, coalesce((SELECT merged_into FROM conversations WHERE id = asked), asked) AS lane
  FROM unnest($1) AS asked OFFSET 0
) AS root
LEFT JOIN LATERAL (SELECT key, paused_at FROM conversations WHERE id = root.lane OFFSET 0) AS c ON true
CROSS JOIN LATERAL ({FIRST.format(count="$2")}) AS e
ORDER BY e.occurred_at, e.delivery_id, e.position
"""  # noqa: S608  (FIRST is a constant)

# The fence: a row changes only for the attempt that it counts now (`attempts` never goes back), and an event is done
# only if it is the one that was begun last in its lane. Both hold whatever becomes of the claims.
# What was true when the head was read is looked at again under the claim: an event that was stored meanwhile may
# be the first now, one that was done meanwhile makes this one late, and a person may have paused the conversation.
BEGIN = f"""
PREPARE lane_begin (bigint, bigint, smallint, text, text) AS
WITH root AS MATERIALIZED (
  SELECT coalesce((SELECT merged_into FROM conversations WHERE id = $1), $1) AS lane,
         set_config('lock_timeout', '{BEGIN_LOCK_MS}', true)
), begun AS (
  UPDATE events e SET
    attempts = attempts + 1, due_at = NULL, holds = true, handler = $5,
    late = coalesce((SELECT (c.handled_occurred_at, c.handled_delivery_id, c.handled_position)
                            > (e.occurred_at, e.delivery_id, e.position)
                     FROM conversations c WHERE c.id = (SELECT lane FROM root)), false)
  WHERE id = $2 AND state = 'pending' AND attempts = $3
    AND id = (SELECT first.id FROM root CROSS JOIN LATERAL ({FIRST.format(count="1")}) AS first)
    AND NOT EXISTS (SELECT FROM conversations c WHERE c.id = (SELECT lane FROM root) AND c.paused_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM conversations m
                    WHERE m.merged_into = (SELECT lane FROM root) AND m.paused_at IS NOT NULL)
  RETURNING id, attempts, late
), fence AS (
  UPDATE conversations c SET begun_event_id = begun.id FROM begun WHERE c.id = (SELECT lane FROM root)
), noted AS (
  INSERT INTO attempts (event_id, number, worker, started_at)
  SELECT id, attempts, $4, clock_timestamp() FROM begun
)
SELECT attempts, late FROM begun
"""  # noqa: S608  (FIRST is a constant)

# The fence is read from the row as it is after a merge that this waited for: in a WHERE it would be looked for in the
# row as it was when the statement began.
FINISH = f"""
PREPARE lane_finish (bigint, smallint) AS
WITH bounded AS MATERIALIZED (
  SELECT set_config('lock_timeout', '{FINISH_LOCK_MS}', true)
), finished AS (
  UPDATE events SET state = 'done', finished_at = clock_timestamp(), error = NULL
  WHERE id = $1 AND state = 'pending' AND attempts = $2 AND EXISTS (SELECT FROM bounded)
  RETURNING id, occurred_at, delivery_id, position,
            coalesce((SELECT m.merged_into FROM conversations m WHERE m.id = events.lane), events.lane) AS root
), attempt AS (
  UPDATE attempts SET finished_at = clock_timestamp()
  WHERE event_id = (SELECT id FROM finished) AND number = $2
), mark AS (
  UPDATE conversations c
  SET (handled_occurred_at, handled_delivery_id, handled_position) = (
    SELECT occurred_at, delivery_id, position
    FROM (VALUES (c.handled_occurred_at, c.handled_delivery_id, c.handled_position),
                 (f.occurred_at, f.delivery_id, f.position)) AS either (occurred_at, delivery_id, position)
    WHERE occurred_at IS NOT NULL
    ORDER BY occurred_at DESC, delivery_id DESC, position DESC LIMIT 1
  )
  FROM finished f
  WHERE c.id = f.root
  RETURNING c.begun_event_id = f.id AND c.merged_into IS NULL AS is_ours
)
SELECT count(*) FROM finished f
WHERE EXISTS (SELECT FROM mark WHERE is_ours) OR NOT EXISTS (SELECT FROM conversations c WHERE c.id = f.root)
"""  # noqa: S608  (the time is a constant)

FAIL = f"""
PREPARE lane_fail (bigint, smallint, event_state, float8, boolean, text, text, smallint) AS
WITH bounded AS MATERIALIZED (
  SELECT set_config('lock_timeout', '{FINISH_LOCK_MS}', true)
), failed AS (
  UPDATE events SET
    state = $3, error = $6, holds = $5, attempts_at_retry = attempts_at_retry + $8,
    due_at = clock_timestamp() + make_interval(secs => $4),
    finished_at = CASE WHEN $3 = 'dead' THEN clock_timestamp() END
  WHERE id = $1 AND state = 'pending' AND attempts = $2 AND EXISTS (SELECT FROM bounded)
  RETURNING id
), attempt AS (
  UPDATE attempts SET finished_at = clock_timestamp(), error = $6, traceback = $7
  WHERE event_id = (SELECT id FROM failed) AND number = $2
)
SELECT count(*) FROM failed
"""  # noqa: S608  (the time is a constant)

# Codes that stand in ``app.stores.faults`` as "try again", by the names that psycopg2 gives their errors, and the
# fence's own
TRIED_AGAIN = """
PREPARE lane_tried_again (bigint) AS
SELECT count(*) FROM attempts WHERE event_id = $1
  AND split_part(error, ':', 1) IN ('SerializationFailure', 'DeadlockDetected', 'LockNotAvailable', 'StaleAttempt')
"""

IS_OPEN = """
PREPARE lane_attempt_is_open (bigint, smallint) AS
SELECT finished_at IS NULL FROM attempts WHERE event_id = $1 AND number = $2
"""


class LaneStatements:
    """On one connection, on which each statement commits itself but for those inside ``transaction``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connect()

    @classmethod
    @contextmanager
    def on(cls, engine: Engine) -> Iterator["LaneStatements"]:
        """Take a connection out of the pool. DBAPIError while Postgres is away."""
        statements = cls(engine)
        try:
            yield statements
        finally:
            statements._disconnect()

    @property
    def usable(self) -> bool:
        """Whether the connection is alive, as far as it is known without asking, and as clean as it was."""
        return not (
            self.connection.closed
            or self.connection.invalidated
            or self._driver.closed
            or self._driver.unclean
        )

    def reconnect(self) -> None:
        """Give the connection up for a new one. DBAPIError while Postgres is away."""
        self._disconnect()
        self._connect()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """SQLAlchemy's connection, for a handler: what is done on it is committed at the end, or nothing of it."""
        self._driver.autocommit = False
        try:
            with self.connection.begin():
                yield self.connection
        finally:
            if self.usable:
                self._driver.autocommit = True

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Inside a transaction, run a handler. TransactionError if it ended the transaction."""
        with self._driver.guarded():
            yield
        if self.connection.closed or not self.connection.in_transaction():
            raise TransactionError("the handler ended the transaction that was to commit its effects")

    def _ensure_usable(self) -> None:
        if not self.usable:
            self.reconnect()

    def _connect(self) -> None:
        self.connection = self._engine.connect()
        self._prepared = Prepared(self.connection)
        self._driver: Any = self._prepared.driver
        self._driver.autocommit = True  # known to the client alone: no round trip, unlike SQLAlchemy's option

    def _disconnect(self) -> None:
        if self.usable:
            self._driver.autocommit = False
        elif not (self.connection.closed or self.connection.invalidated):
            self.connection.invalidate()
        self.connection.close()

    def heads(self, lanes: Sequence[int], count: int, settle_seconds: float) -> dict[int, list[Head]]:
        """Return the first events of each lane that has any, ``count`` at most, in their order."""
        self._ensure_usable()
        found: dict[int, list[Head]] = {}
        for row in self._prepared.rows(HEADS, list(lanes), count, settle_seconds):
            head = Head(*row)
            found.setdefault(head.asked, []).append(head)
        return found

    def begin(self, head: Head, worker: str, handler: str | None) -> Begun | None:
        """Count an attempt; None if the event may not run any more: it is not the first, was begun, or is paused."""
        self._ensure_usable()
        for row in self._prepared.rows(BEGIN, head.lane, head.id, head.attempts, worker, handler):
            return Begun(*row)
        return None

    def finish(self, event_id: int, attempt: int) -> bool:
        """Inside the transaction of its effects: the event is done. False if it may not be: then roll back."""
        ((finished,),) = self._prepared.rows(FINISH, event_id, attempt)
        return bool(finished)

    def fail(self, event_id: int, attempt: int, failure: Failure) -> bool:
        """Record that the attempt failed, on a new connection if this one died; False if it is a stale attempt."""
        if self.usable:
            try:
                return self._fail(event_id, attempt, failure)
            except DBAPIError:
                if self.usable:
                    raise
        self.reconnect()
        return self._fail(event_id, attempt, failure)

    def is_open(self, event_id: int, attempt: int) -> bool:
        """Whether the attempt has no end: its worker died, or lost its claim."""
        rows = self._prepared.rows(IS_OPEN, event_id, attempt)
        return bool(rows and rows[0][0])

    def tried_again(self, event_id: int) -> int:
        """How many of the event's attempts failed only because another transaction was in the way."""
        self._ensure_usable()
        ((count,),) = self._prepared.rows(TRIED_AGAIN, event_id)
        return int(count)

    def _fail(self, event_id: int, attempt: int, failure: Failure) -> bool:
        state = "dead" if failure.dead else "pending"
        ((failed,),) = self._prepared.rows(
            FAIL,
            event_id,
            attempt,
            state,
            failure.after_seconds,
            failure.blocks_lane,
            failure.error,
            failure.traceback,
            int(failure.costs_nothing),
        )
        return bool(failed)
