"""A lane: the events of one conversation, run one at a time, in order.

Promises: the first event of the lane that is not final runs before any other; its effects are committed
together with its being done, at most once. Relies on Postgres for truth and on ``claims`` to keep workers from
doing the same work. It cannot see an event that has not been stored yet: one that arrives after a later one
was done runs when it arrives, marked ``late``.

The order is (occurred_at, delivery_id, position): Meta's timestamp, then what was accepted earlier, then the
place in the body.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from app import reporting
from app.claims import Claim, ClaimResult, Claims
from app.handlers.context import Context, Event
from app.handlers.registry import Handler, Registry
from app.redis_keys import event_claim, lane_claim
from app.retry import RetryDecision, decide
from app.time_limit import TimeLimitExceeded, time_limit
from config.logging import get_logger, hiding

SETTLE_PAUSE_SECONDS = 0.02  # between two looks at a lane whose earlier deliveries are being stored
RENEWAL_SLACK_SECONDS = 5  # a lease is renewed for this much longer than the handler may take
ERROR_LENGTH = 1000
TRACEBACK_LENGTH = 20_000

log = get_logger(__name__)


class Outcome(StrEnum):
    """What became of one step in a lane."""

    EMPTY = "empty"  # nothing is left to run
    WAITING = "waiting"  # the first event is not due yet; a sweep wakes the lane
    PAUSED = "paused"  # its events wait until a person resumes the conversation
    HELD = "held"  # somebody else runs it, and goes on when done
    SETTLING = "settling"  # an earlier delivery is being stored
    OVERTAKEN = (
        "overtaken"  # somebody else got there first, or our claim ran out: nothing of ours was committed
    )
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"


# After these the lane may have a next event to run at once
GOES_ON = {Outcome.DONE, Outcome.DEAD, Outcome.OVERTAKEN}


@dataclass(frozen=True, slots=True)
class Head:
    """The first event of a lane that is not final."""

    event: Event
    lane: int
    merged: list[int]  # lanes that were merged into this one: their claims are taken too
    delivery_id: UUID
    attempts: int
    attempts_at_retry: int
    due: bool
    paused: bool  # by a person; a conversation that was merged into this one counts too
    settled: bool  # no earlier delivery waits behind the second door


@dataclass(frozen=True, slots=True)
class Step:
    outcome: Outcome
    event_id: int | None = None
    error: str | None = None
    skipped: bool = False  # it failed, and its handler lets the lane go on meanwhile

    @property
    def lane_goes_on(self) -> bool:
        """Whether the lane may have an event to run now, so that it is worth waking again."""
        return self.outcome in GOES_ON or self.outcome is Outcome.SETTLING or self.skipped


# An event that was stored while its conversation was being merged may have stayed behind in the merged lane: a
# lane's head is the first event of all that belong to it.
FIRST = """
WITH root AS (
  SELECT coalesce((SELECT merged_into FROM conversations WHERE id = :lane), :lane) AS lane
), lanes AS (
  SELECT lane FROM root UNION ALL SELECT m.id FROM root JOIN conversations m ON m.merged_into = root.lane
), first AS (
  SELECT e.* FROM lanes CROSS JOIN LATERAL (
    SELECT * FROM events
    WHERE lane = lanes.lane AND state = 'pending' AND (holds OR due_at <= clock_timestamp())
    ORDER BY occurred_at, delivery_id, position
    LIMIT 1
  ) e
  ORDER BY occurred_at, delivery_id, position
  LIMIT 1
)
"""

HEAD = text(f"""
{FIRST}
SELECT e.id, e.key, e.kind, e.type, e.payload, root.lane, e.delivery_id, e.occurred_at, e.accepted_at,
       e.attempts, e.attempts_at_retry, c.key AS conversation,
       coalesce(e.due_at <= clock_timestamp(), true) AS due,
       ARRAY(SELECT m.id FROM conversations m WHERE m.merged_into = root.lane) AS merged,
       root.lane IN (SELECT coalesce(merged_into, id) FROM conversations WHERE paused_at IS NOT NULL) AS paused,
       NOT EXISTS (SELECT FROM deliveries d WHERE d.state = 'stored' AND d.id < e.delivery_id
                   AND d.accepted_at > clock_timestamp() - make_interval(secs => :settle_seconds)) AS settled
FROM first e CROSS JOIN root LEFT JOIN conversations c ON c.id = root.lane
""")  # noqa: S608  (FIRST is a constant)

# The fence: a row changes only for the attempt that it counts now. `attempts` never goes back.
# What was true when the head was read is looked at again under the claim: an event that was stored meanwhile may
# be the first now, and one that was done meanwhile makes this one late.
BEGIN = text(f"""
{FIRST}, begun AS (
  UPDATE events e SET
    attempts = attempts + 1, due_at = NULL, holds = true, handler = :handler,
    late = coalesce((SELECT (c.handled_occurred_at, c.handled_delivery_id, c.handled_position)
                            > (e.occurred_at, e.delivery_id, e.position)
                     FROM conversations c WHERE c.id = (SELECT lane FROM root)), false)
  WHERE id = :id AND id = (SELECT id FROM first) AND state = 'pending' AND attempts = :attempts
  RETURNING id, attempts, late
), noted AS (
  INSERT INTO attempts (event_id, number, worker, started_at)
  SELECT id, attempts, :worker, clock_timestamp() FROM begun
)
SELECT attempts, late FROM begun
""")  # noqa: S608  (FIRST is a constant)

FINISH = text("""
WITH finished AS (
  UPDATE events SET state = 'done', finished_at = clock_timestamp(), error = NULL
  WHERE id = :id AND state = 'pending' AND attempts = :attempt
  RETURNING id, lane, occurred_at, delivery_id, position
), attempt AS (
  UPDATE attempts SET finished_at = clock_timestamp()
  WHERE event_id = (SELECT id FROM finished) AND number = :attempt
), mark AS (
  UPDATE conversations c
  SET handled_occurred_at = f.occurred_at, handled_delivery_id = f.delivery_id, handled_position = f.position
  FROM finished f
  WHERE c.id = coalesce((SELECT merged_into FROM conversations m WHERE m.id = f.lane), f.lane)
    AND coalesce((c.handled_occurred_at, c.handled_delivery_id, c.handled_position)
                 < (f.occurred_at, f.delivery_id, f.position), true)
)
SELECT count(*) FROM finished
""")

FAIL = text("""
WITH failed AS (
  UPDATE events SET
    state = CAST(:state AS event_state), error = :error, holds = :holds,
    due_at = clock_timestamp() + make_interval(secs => :after_seconds),
    finished_at = CASE WHEN :state = 'dead' THEN clock_timestamp() END
  WHERE id = :id AND state = 'pending' AND attempts = :attempt
  RETURNING id
), attempt AS (
  UPDATE attempts SET finished_at = clock_timestamp(), error = :error, traceback = :traceback
  WHERE event_id = (SELECT id FROM failed) AND number = :attempt
)
SELECT count(*) FROM failed
""")


class OvertakenError(Exception):
    """The fence refused: the event is not in our attempt any more."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """Everything that running a lane needs."""

    engine: Engine
    claims: Claims
    registry: Registry
    worker: str  # who runs, as attempts and logs show it
    settle_seconds: float
    handler_time_limit_seconds: float
    announce_dead: Callable[[int], None]  # tells the queue of dead letters about an event, after its commit

    def step(self, lane: int) -> Step:
        """Run the first event of the lane, if it may run now.

        1. read the head;
        2. claim the lane and the event (Redis): the others stay away while the lease is renewed;
        3. count the attempt, in a commit of its own: a worker that dies under an event cannot loop for ever;
        4. run the handler, and commit its effects, the attempt and ``done`` together, behind the fence;
        5. release the claim.

        Dying after 2 or 3 costs the lease: then a sweep finds the event pending and nobody's. After the commit
        of 4 the event is done; the claim only delays the lane until its lease ends or the sweep comes.
        """
        head = self._head(lane)
        if head is None:
            return Step(Outcome.EMPTY)
        if head.paused:
            return Step(Outcome.PAUSED)
        if not head.due:
            return Step(Outcome.WAITING)
        if not head.settled:
            return Step(Outcome.SETTLING)
        claim = Claim([*map(lane_claim, [head.lane, *head.merged]), event_claim(head.event.key)])
        match self.claims.take(claim, head.delivery_id):
            case ClaimResult.SETTLING:
                return Step(Outcome.SETTLING)
            case ClaimResult.HELD:
                return Step(Outcome.HELD)
        try:
            with hiding(head.event.payload):
                return self._attempt(head, claim)
        finally:
            self.claims.release(claim)

    def _head(self, lane: int) -> Head | None:
        """The lane's first event; of the lane it was merged into, if it was."""
        with self._statements() as connection:
            found = connection.execute(HEAD, {"lane": lane, "settle_seconds": self.settle_seconds}).first()
        return _head_of(found._mapping) if found is not None else None

    def _statements(self) -> Connection:
        """A connection on which each statement is a transaction: one round trip instead of three."""
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _attempt(self, head: Head, claim: Claim) -> Step:
        handler = self.registry.find(head.event.kind, head.event.type)
        with self._statements() as connection:
            parameters = {
                "id": head.event.id,
                "attempts": head.attempts,
                "lane": head.lane,
                "worker": self.worker,
                "handler": handler.name if handler else None,
            }
            begun = connection.execute(BEGIN, parameters).first()
        if begun is None:
            return Step(Outcome.OVERTAKEN, head.event.id)
        number = begun.attempts
        event = replace(head.event, late=begun.late)
        return self._run(Attempt(event, handler, number, number - head.attempts_at_retry), claim)

    def _run(self, attempt: "Attempt", claim: Claim) -> Step:
        limit = self._limit(attempt.handler)
        started = time.monotonic()
        try:
            attempt.refuse_when_exhausted()
            with (
                self.claims.renewed(claim, limit + RENEWAL_SLACK_SECONDS),
                self.engine.begin() as connection,
            ):
                attempt.run(connection, limit)
                _finish(connection, attempt)
        except OvertakenError:
            log.warning("event.overtaken", **attempt.fields())
            return Step(Outcome.OVERTAKEN, attempt.event.id)
        except (Exception, TimeLimitExceeded) as error:
            return self._failed(attempt, error, time.monotonic() - started)
        outcome = "event.done" if attempt.handler else "event.unhandled"
        log.info(outcome, **attempt.fields(), seconds=round(time.monotonic() - started, 4))
        return Step(Outcome.DONE, attempt.event.id)

    def _limit(self, handler: Handler | None) -> float:
        return (handler and handler.time_limit_seconds) or self.handler_time_limit_seconds

    def _failed(self, attempt: "Attempt", error: BaseException, seconds: float) -> Step:
        """Record the failure; if Postgres is away, the attempt stays open and a sweep finds the event."""
        decision = attempt.decide(error)
        described = _describe(error)
        with self._statements() as connection:
            if not _record_failure(connection, attempt, decision, described, error):
                log.warning("event.overtaken", **attempt.fields())
                return Step(Outcome.OVERTAKEN, attempt.event.id)
        fields = {**attempt.fields(), "error": described, "seconds": round(seconds, 4)}
        if decision.dead:
            log.error("event.dead", **fields)
            self.announce_dead(attempt.event.id)
            reporting.dead_letter(error=error, **attempt.fields())
            return Step(Outcome.DEAD, attempt.event.id, described)
        log.warning("event.failed_attempt", **fields, again_after_seconds=decision.after_seconds)
        reporting.failed_attempt(error=error, **attempt.fields())
        return Step(Outcome.FAILED, attempt.event.id, described, skipped=not attempt.holds)


class WorkerLostError(Exception):
    """The worker died under each of the event's attempts; nobody was left to write down why."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a handler."""

    event: Event
    handler: Handler | None
    number: int  # ever, the fence
    since_retry: int  # since the last retry by a person, from 1: what the policy counts

    @property
    def holds(self) -> bool:
        """Whether its lane waits for it while it waits for its next attempt."""
        return self.handler is None or self.handler.on_failure == "hold"

    def refuse_when_exhausted(self) -> None:
        """Attempts that ended with their worker's death count too, but nobody was there to decide."""
        if self.handler and self.since_retry > self.handler.policy.max_attempts:
            raise WorkerLostError(f"the worker died, or lost its claim, in attempt {self.number - 1}")

    def run(self, connection: Connection, limit_seconds: float) -> None:
        """Call the handler; an event whose handler is gone has nothing to do."""
        if self.handler is None:
            return
        context = Context(connection, self.since_retry)
        with time_limit(limit_seconds):
            self.handler.function(self.event, context)
            context.close()

    def decide(self, error: BaseException) -> RetryDecision:
        """When it is tried again, by its handler's policy."""
        if self.handler is None or isinstance(error, WorkerLostError):
            return RetryDecision(None)
        return decide(self.handler.policy, self.since_retry, error)

    def fields(self) -> dict[str, Any]:
        """For log lines."""
        return {
            "event_id": self.event.id,
            "key": self.event.key,
            "kind": self.event.kind,
            "type": self.event.type,
            "conversation": self.event.conversation,
            "handler": self.handler.name if self.handler else None,
            "attempt": self.number,
        }


def _head_of(row: Any) -> Head:
    names = ("id", "key", "kind", "type", "conversation", "occurred_at", "accepted_at", "payload")
    return Head(
        event=Event(**{name: row[name] for name in names}, late=False),  # BEGIN tells
        **{name: row[name] for name in Head.__slots__ if name != "event"},
    )


def _finish(connection: Connection, attempt: Attempt) -> None:
    parameters = {"id": attempt.event.id, "attempt": attempt.number}
    if connection.execute(FINISH, parameters).scalar() == 0:
        raise OvertakenError


def _record_failure(
    connection: Connection, attempt: Attempt, decision: RetryDecision, described: str, error: BaseException
) -> bool:
    parameters = {
        "id": attempt.event.id,
        "attempt": attempt.number,
        "state": "dead" if decision.dead else "pending",
        "after_seconds": decision.after_seconds,
        "holds": attempt.holds,
        "error": described,
        "traceback": _storable("".join(traceback.format_exception(error)))[-TRACEBACK_LENGTH:],
    }
    return connection.execute(FAIL, parameters).scalar() == 1


def _describe(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return _storable(f"{type(cause).__name__}: {cause}")[:ERROR_LENGTH]


def _storable(words: str) -> str:
    """Postgres text holds no NUL and no lone surrogate; an error's words may quote either."""
    return words.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def advance(lanes: Lanes, lane: int, budget_seconds: float) -> Step:
    """Run events of the lane until none may run, one fails, or the budget is used up.

    Returns the last step; if its ``lane_goes_on``, the lane wants to be woken again.
    """
    stop_at = time.monotonic() + budget_seconds
    while True:
        step = lanes.step(lane)
        if step.outcome is Outcome.SETTLING:
            time.sleep(SETTLE_PAUSE_SECONDS)
        if step.outcome not in GOES_ON or time.monotonic() >= stop_at:
            return step
