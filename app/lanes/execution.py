"""From the first job of a lane to what became of it: one attempt, in named steps, its side effects last.

begin → perform → record → report
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg2
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from app.handlers import Event, Handler, Registry
from app.lanes.attempt import Attempt, AttemptsExhaustedError, WorkerLostError
from app.lanes.outcome import Outcome, Step
from app.lanes.rows import Begun, Failure, Head
from app.lanes.statements import LaneStatements
from app.stores import Fault, judge
from app.watch import reporting
from config.logging import get_logger, hiding

MAX_TRIED_AGAIN = 20  # attempts that cost nothing
MAX_ATTEMPTS_EVER = 32_000  # ``jobs.attempts`` is a smallint, and retries by people do not reset it

log = get_logger(__name__)


class StaleAttempt(Exception):
    """The fence refused: the job is no longer in our attempt."""


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended."""

    attempt: Attempt
    outcome: Outcome
    seconds: float
    error: BaseException | None = None
    failure: Failure | None = None

    def step(self, lane: int) -> Step:
        """Return what it means for the lane."""
        failure = self.failure if self.outcome in (Outcome.FAILED, Outcome.DEAD) else None
        skipped = self.outcome is Outcome.FAILED and failure is not None and not failure.blocks_lane
        return Step(lane, self.outcome, self.attempt.job_id, failure.error if failure else None, skipped)


@dataclass(frozen=True, slots=True)
class Execution:
    """Runs the attempts of one worker, over one connection to Postgres."""

    statements: LaneStatements
    registry: Registry
    worker: str
    time_limit_seconds: float
    set_deadline: Callable[[float], object]  # called with the seconds that the handler may take
    record_seconds: Callable[[float], object]  # called with the seconds that each attempt took
    enqueue_dead_letter: Callable[[int], object]
    wake_senders: Callable[[], object]
    must_end: tuple[type[BaseException], ...] = ()  # not a handler's to raise: they pass through

    def execute(self, head: Head) -> Step:
        """Run one job.

        1. begin: count the attempt, in a commit of its own, so that a worker that dies under a job cannot loop
           for ever;
        2. perform: run the handler, and commit its effects, the attempt and ``done`` together, behind the fence;
        3. record: what did not succeed is written down, behind the fence;
        4. report: logs, Sentry, the queue of dead letters.

        Dying after 1 leaves an open attempt, which counts. Dying after 2 or 3 loses a log line; a sweep brings the
        queue of dead letters in line with the table.
        """
        handler = self.handler_of(head)
        if handler is None:
            return Step(head.asked, Outcome.UNKNOWN_HANDLER, head.id)
        if head.attempts >= MAX_ATTEMPTS_EVER:
            return self._give_up(head, handler)
        if self._expired(head, handler):
            return Step(head.asked, Outcome.STALE, head.id)
        attempt = self._begin(head, handler)
        if attempt is None:  # another attempt got there first, or a person paused the conversation
            return Step(head.asked, Outcome.STALE_ATTEMPT, head.id)
        with hiding(head.payload):
            result = self._record(attempt, *self._perform(attempt))
            report(result, self.enqueue_dead_letter)
            self.record_seconds(result.seconds)
        return result.step(head.asked)

    def _give_up(self, head: Head, handler: Handler) -> Step:
        """Let the job die without another attempt: the column that counts them is full."""
        attempt = _attempt(head, handler, Begun(head.attempts, late=False, before_lost=False))
        error = AttemptsExhaustedError(f"tried {head.attempts} times; discard it, or send it anew")
        result = self._record(attempt, error, 0)
        report(result, self.enqueue_dead_letter)
        return result.step(head.asked)

    def handler_of(self, head: Head) -> Handler | None:
        """Return the handler that the job was stored for; None if it is not known here."""
        return self.registry.find_for(head.kind, head.type, head.handler, head.lane_name)

    def _expired(self, head: Head, handler: Handler) -> bool:
        """Whether the job ended as stale now; asks Postgres only where it looks like that from here."""
        if handler.max_age_seconds is None or head.attempts or head.replayed:
            return False
        age = datetime.now(UTC) - head.occurred_at
        looks_stale = age.total_seconds() > handler.max_age_seconds
        if not looks_stale or not self.statements.expire(head.id, handler.max_age_seconds):
            return False
        log.info("event.stale", job_id=head.id, event_id=head.event_id, key=head.key, handler=handler.name)
        return True

    def _begin(self, head: Head, handler: Handler) -> Attempt | None:
        begun = self.statements.begin(head, self.worker, handler.name)
        return _attempt(head, handler, begun) if begun else None

    def _perform(self, attempt: Attempt) -> tuple[BaseException | None, float]:
        """Return the error, if there is one, and the seconds that it took."""
        limit_seconds = attempt.handler.time_limit_seconds or self.time_limit_seconds
        self.set_deadline(limit_seconds)
        started = time.monotonic()
        error: BaseException | None = None
        try:
            self._refuse_after_death(attempt)
            with self.statements.transaction():
                has_sends = attempt.run(self.statements, limit_seconds, self._wake_senders)
                self._finish(attempt)
            if has_sends:
                self._wake_senders()
        except self.must_end:
            raise
        except BaseException as raised:  # a handler may raise SystemExit, CancelledError, anything
            error = raised
        return error, time.monotonic() - started

    def _wake_senders(self) -> None:
        try:
            self.wake_senders()
        except RedisError as error:  # a sweep wakes them within a second
            log.warning("outbox.not_woken", error=type(error).__name__)

    def _refuse_after_death(self, attempt: Attempt) -> None:
        """Raise WorkerLostError if the attempt before was the last and has no end.

        An attempt beyond the policy whose predecessor did end is one more run: a release lowered ``max_attempts``.
        """
        if attempt.is_beyond_policy and attempt.before_lost:
            raise WorkerLostError(f"the worker died, or lost its claim, in attempt {attempt.number - 1}")

    def _finish(self, attempt: Attempt) -> None:
        if not self.statements.finish(attempt.job_id, attempt.number):
            # Roll back: another attempt may commit its effects
            raise StaleAttempt("another job of its lane was begun meanwhile")

    def _record(self, attempt: Attempt, error: BaseException | None, seconds: float) -> Result:
        """Write a failure down; if Postgres is away, the attempt stays open and a sweep finds the job."""
        if error is None:
            return Result(attempt, Outcome.DONE, seconds)
        failure = attempt.failure(error, costs_nothing=self._costs_nothing(attempt, error))
        recorded = self.statements.fail(attempt.job_id, attempt.number, failure)
        if not recorded or (isinstance(error, StaleAttempt) and not failure.dead):
            return Result(attempt, Outcome.STALE_ATTEMPT, seconds)
        return Result(attempt, Outcome.DEAD if failure.dead else Outcome.FAILED, seconds, error, failure)

    def _costs_nothing(self, attempt: Attempt, error: BaseException) -> bool:
        """Whether the attempt failed only because of other transactions: a deadlock, a lock, a conflict, the fence.

        MAX_TRIED_AGAIN times at most in a job's life, since its handler may be what always comes into its own way.
        """
        is_conflict = isinstance(error, DBAPIError | psycopg2.Error) and judge(error) is Fault.AGAIN
        if not is_conflict and not isinstance(error, StaleAttempt):
            return False
        return self.statements.tried_again(attempt.job_id) < MAX_TRIED_AGAIN


def report(result: Result, enqueue_dead_letter: Callable[[int], object]) -> None:
    """Tell the logs, Sentry and the queue of dead letters how an attempt ended."""
    fields: dict[str, Any] = result.attempt.fields()
    if result.outcome is Outcome.STALE_ATTEMPT:
        log.warning("event.stale_attempt", **fields)
        return
    if result.failure is None or result.error is None:
        log.info("event.done", **fields, seconds=round(result.seconds, 4))
        return
    shown = {**fields, "error": result.failure.error, "seconds": round(result.seconds, 4)}
    if result.outcome is Outcome.DEAD:
        log.error("event.dead", **shown)
        _enqueue(result.attempt.job_id, enqueue_dead_letter)
        reporting.dead_letter(error=result.error, **fields)
        return
    log.warning("event.failed_attempt", **shown, again_after_seconds=result.failure.after_seconds)
    reporting.failed_attempt(error=result.error, **fields)


def _enqueue(job_id: int, enqueue_dead_letter: Callable[[int], object]) -> None:
    try:
        enqueue_dead_letter(job_id)
    except RedisError as error:  # a sweep brings the queue in line with the table
        log.warning("dead_letters.queue_not_reached", error=type(error).__name__)


def _attempt(head: Head, handler: Handler, begun: Begun) -> Attempt:
    return Attempt(
        job_id=head.id,
        event=_event(head, begun.late),
        handler=handler,
        number=begun.number,
        since_retry=begun.number - head.attempts_at_retry,
        before_lost=begun.before_lost,
        replayed=head.replayed,
    )


def _event(head: Head, late: bool) -> Event:
    return Event(
        id=head.event_id,
        key=head.key,
        kind=head.kind,
        type=head.type,
        conversation=head.conversation,
        occurred_at=head.occurred_at,
        accepted_at=head.accepted_at,
        late=late,
        payload=head.payload,
    )
