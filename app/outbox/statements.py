"""What a sender asks of Postgres. Each statement is a transaction of its own, on disk before the next step."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.outbox.retry import SendDecision
from app.outbox.rows import TakenSend
from app.stores import Prepared, recordset

LEASE_SECONDS = (
    60  # above what a POST may take in all; a send that is ``sending`` for longer has lost its sender
)
UNKNOWN_HOLDS_SECONDS = 30  # that later sends of the conversation wait for one of which nothing is known
STATUS_WAIT_SECONDS = 5  # that a send waits for the status of the one before

# The numbers that have something to send: one step through the index for each
NUMBERS = """
PREPARE outbox_numbers (int) AS
WITH RECURSIVE found AS (
  (SELECT number FROM sends WHERE holds ORDER BY number LIMIT 1)
  UNION ALL
  SELECT (SELECT number FROM sends s WHERE s.holds AND s.number > found.number ORDER BY s.number LIMIT 1)
  FROM found WHERE found.number IS NOT NULL
)
SELECT found.number, stopped.token_digest
FROM found LEFT JOIN stopped_numbers stopped USING (number) WHERE found.number IS NOT NULL
"""

# The first of each conversation that holds others up, if it may leave now. A step through the index for each
# conversation, beginning behind $2, so that those at the end of the alphabet get their turn. Two senders that are
# at it at once skip each other's rows; a second send of a conversation is never the first. One that was committed
# after a later one had left, or that came by a merge, waits for that one's answer. OFFSET 0 keeps the planner from
# reading all that waits for a join.
TAKE = f"""
PREPARE outbox_take (text, text, int, text) AS
WITH RECURSIVE first AS (
  (SELECT conversation, id FROM sends WHERE holds AND number = $1 AND conversation > $2
   ORDER BY conversation, id LIMIT 1)
  UNION ALL
  SELECT next.conversation, next.id FROM first CROSS JOIN LATERAL (
    SELECT s.conversation, s.id FROM sends s
    WHERE s.holds AND s.number = $1 AND s.conversation > first.conversation
    ORDER BY s.conversation, s.id LIMIT 1
  ) AS next
), under_way AS MATERIALIZED (
  SELECT conversation FROM sends WHERE held_until IS NOT NULL AND number = $1 AND state IN ('sending', 'unknown')
), ready AS (
  SELECT s.id FROM first CROSS JOIN LATERAL (SELECT * FROM sends WHERE id = first.id OFFSET 0) AS s
  WHERE s.state = 'queued' AND s.due_at <= clock_timestamp()
    AND NOT EXISTS (SELECT FROM under_way u WHERE u.conversation = first.conversation)
  LIMIT $3
), locked AS (
  SELECT id FROM sends WHERE id = ANY (ARRAY(SELECT id FROM ready)) AND state = 'queued'
  FOR UPDATE SKIP LOCKED
)
UPDATE sends s SET
  state = 'sending', attempts = attempts + 1, sender = $4,
  held_until = clock_timestamp() + interval '{LEASE_SECONDS} s'
FROM locked WHERE s.id = locked.id
RETURNING s.id, s.attempts, s.number, s.recipient_kind, s.recipient, s.body, CAST(s.callback AS text),
          CAST(extract(epoch FROM clock_timestamp() - s.created_at) AS float8),
          s.conversation, coalesce(s.window_closes_at < clock_timestamp(), false), s.outside_window
"""  # noqa: S608  (a constant)

# Only for the attempt that is counted now, and only if no status was faster than the answer
RECORD = f"""
PREPARE outbox_record (json) AS
WITH given AS (
  SELECT * FROM json_to_recordset($1) AS r (
    id bigint, attempt smallint, state send_state, message_id text, error text, code int, after_seconds float8,
    costs_nothing boolean)
), noted AS (
  INSERT INTO send_attempts (send_id, number, answer)
  SELECT id, attempt, coalesce(error, 'accepted') FROM given WHERE NOT costs_nothing
  ON CONFLICT DO NOTHING
), named AS (
  UPDATE sends s SET message_id = given.message_id FROM given
  WHERE s.id = given.id AND s.message_id IS NULL AND given.message_id IS NOT NULL
    AND s.state NOT IN ('sending', 'unknown')
)
UPDATE sends s SET
  state = given.state,
  message_id = coalesce(given.message_id, s.message_id),
  error = given.error, error_code = given.code,
  attempts = s.attempts - CAST(given.costs_nothing AS int),
  due_at = clock_timestamp() + make_interval(secs => given.after_seconds),
  accepted_at = CASE WHEN given.state = 'accepted' THEN clock_timestamp() END,
  finished_at = CASE WHEN given.state IN ('accepted', 'dead') THEN clock_timestamp() END,
  unsure = s.unsure OR given.state = 'unknown',
  unknown_since = CASE WHEN given.state = 'unknown' THEN clock_timestamp() END,
  holds = given.state IN ('queued', 'unknown')
          OR given.state = 'accepted' AND s.delays_next IS NOT NULL AND (s.status IS NULL OR s.status < s.delays_next),
  held_until = CASE given.state
    WHEN 'unknown' THEN clock_timestamp() + interval '{UNKNOWN_HOLDS_SECONDS} s'
    WHEN 'accepted' THEN CASE WHEN s.delays_next IS NOT NULL
                              THEN clock_timestamp() + interval '{STATUS_WAIT_SECONDS} s' END
  END
FROM given
WHERE s.id = given.id AND s.attempts = given.attempt AND s.state IN ('sending', 'unknown')
RETURNING s.id
"""  # noqa: S608  (constants)

IS_CURRENT = """
PREPARE outbox_is_current (bigint, smallint, text) AS
SELECT EXISTS (SELECT FROM sends
               WHERE id = $1 AND attempts = $2 AND sender IS NOT DISTINCT FROM $3 AND state = 'sending')
"""

# What a crash of Postgres takes back here is ``sending`` again: a status settles it, as anything unknown
WITHOUT_DISK = "SET LOCAL synchronous_commit = off"

STOP = """
PREPARE outbox_stop (text, text, int, text) AS
INSERT INTO stopped_numbers (number, token_digest, error_code, error) VALUES ($1, $2, $3, $4)
ON CONFLICT (number) DO UPDATE SET token_digest = $2, error_code = $3, error = $4, since = clock_timestamp()
"""

RESUME = """
PREPARE outbox_resume (text) AS
DELETE FROM stopped_numbers WHERE number = $1 RETURNING number
"""

WINDOW = """
PREPARE outbox_window (text) AS
SELECT coalesce(max(e.occurred_at) > clock_timestamp() - interval '24 hours', false)
FROM conversations c JOIN events e ON e.lane = c.id OR e.lane = c.merged_into
WHERE c.key = $1 AND e.kind = 'message' AND e.occurred_at > clock_timestamp() - interval '24 hours'
"""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a take returns: the send, its conversation, and what to do if its window is closed."""

    send: TakenSend
    conversation: str
    window_closed: bool
    outside_window: str | None


@dataclass(frozen=True, slots=True)
class OutboxStatements:
    """The statements of one sender."""

    engine: Engine
    sender: str | None = None  # worker/process, by which what it leaves when it dies is known

    def numbers(self) -> dict[str, str | None]:
        """Return the numbers that have something to send, with the digest of a token that Meta refused, if any."""
        with self._alone() as prepared:
            return dict(prepared.rows(NUMBERS, 0))

    def take(self, number: str, after: str, most: int) -> list[Ready]:
        """Take sends that may leave now, of conversations behind ``after``; their attempts are counted, on disk."""
        with self._alone() as prepared:
            rows = prepared.rows(TAKE, number, after, most, self.sender)
        return [_ready(row) for row in rows]

    def is_current(self, send: TakenSend) -> bool:
        """Whether its attempt is still under way by the tables: nobody has missed this sender."""
        with self._alone() as prepared:
            ((current,),) = prepared.rows(IS_CURRENT, send.id, send.attempt, self.sender)
        return bool(current)

    def record(self, results: Sequence[tuple[TakenSend, SendDecision]]) -> None:
        """Write down what became of sends. One that a status has settled meanwhile stays as it is."""
        rows = [
            _result(send, decision) for send, decision in sorted(results, key=lambda result: result[0].id)
        ]
        if rows:
            with self._prepared(WITHOUT_DISK) as prepared:
                prepared.rows(RECORD, recordset(rows))

    def stop(self, number: str, token_digest: str, code: int | None, error: str) -> None:
        """Let nothing leave from a number until it has another token or a person resumes it."""
        with self._prepared() as prepared:
            prepared.rows(STOP, number, token_digest, code, error)

    def resume(self, number: str) -> bool:
        """Let sends of a number leave again; whether it was stopped."""
        with self._prepared() as prepared:
            return bool(prepared.rows(RESUME, number))

    def window_is_open(self, conversation: str) -> bool:
        """Return whether the user wrote within 24 hours, as the tables know it now."""
        with self._prepared() as prepared:
            ((is_open,),) = prepared.rows(WINDOW, conversation)
        return bool(is_open)

    @contextmanager
    def _alone(self) -> Iterator[Prepared]:
        """For one statement, which is a transaction by itself: no round trips to begin and to commit."""
        with self.engine.connect() as connection:
            yield Prepared(connection.execution_options(isolation_level="AUTOCOMMIT"))

    @contextmanager
    def _prepared(self, option: str | None = None) -> Iterator[Prepared]:
        connection: Connection
        with self.engine.begin() as connection:
            if option is not None:
                connection.exec_driver_sql(option)
            yield Prepared(connection)


def _ready(row: tuple[Any, ...]) -> Ready:

    id_, attempt, number, kind, recipient, body, callback, age, conversation, closed, outside = row
    send = TakenSend(id_, attempt, number, kind, recipient, body, UUID(callback), age)
    return Ready(send, conversation, closed, outside)


def _result(send: TakenSend, decision: SendDecision) -> dict[str, Any]:
    return {
        "id": send.id,
        "attempt": send.attempt,
        "state": decision.state,
        "message_id": decision.message_id,
        "error": decision.error,
        "code": decision.code,
        "after_seconds": decision.after_seconds,
        "costs_nothing": decision.costs_nothing,
    }
