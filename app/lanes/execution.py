"""From the first event of a lane to what became of it: one attempt, in named steps, its side effects last.

begin → perform → record → report
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.handlers import Event, Handler, Registry
from app.lanes.attempt import Attempt
from app.lanes.outcome import Outcome, Step
from app.lanes.statements import Failure, Head, LaneStatements
from app.lanes.time_limit import TimeLimitExceeded
from app.watch import reporting
from config.logging import get_logger, hiding

log = get_logger(__name__)


class StaleAttempt(Exception):
    """The fence refused: the event is no longer in our attempt."""


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
        return Step(lane, self.outcome, self.attempt.event.id, failure.error if failure else None, skipped)


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

    def execute(self, head: Head) -> Step:
        """Run one event.

        1. begin: count the attempt, in a commit of its own, so that a worker that dies under an event cannot loop
           for ever;
        2. perform: run the handler, and commit its effects, the attempt and ``done`` together, behind the fence;
        3. record: what did not succeed is written down, behind the fence;
        4. report: logs, Sentry, the queue of dead letters.

        Dying after 1 leaves an open attempt, which counts. Dying after 2 or 3 loses a log line; a sweep brings the
        queue of dead letters in line with the table.
        """
        attempt = self._begin(head)
        if attempt is None:  # another attempt got there first, or a person paused the conversation
            return Step(head.asked, Outcome.STALE_ATTEMPT, head.id)
        with hiding(head.payload):
            result = self._record(attempt, *self._perform(attempt))
            report(result, self.enqueue_dead_letter)
            self.record_seconds(result.seconds)
        return result.step(head.asked)

    def _begin(self, head: Head) -> Attempt | None:
        handler = self.registry.find(head.kind, head.type)
        begun = self.statements.begin(head, self.worker, handler.name if handler else None)
        if begun is None:
            return None
        since_retry = begun.number - head.attempts_at_retry
        return Attempt(_event(head, begun.late), handler, begun.number, since_retry)

    def _perform(self, attempt: Attempt) -> tuple[BaseException | None, float]:
        """Return the error, if there is one, and the seconds that it took."""
        limit_seconds = self._limit(attempt.handler)
        self.set_deadline(limit_seconds)
        started = time.monotonic()
        error: BaseException | None = None
        try:
            attempt.refuse_when_exhausted()
            with self.statements.transaction() as connection:
                attempt.run(connection, limit_seconds)
                self._finish(attempt)
        except (Exception, TimeLimitExceeded) as raised:
            error = raised
        return error, time.monotonic() - started

    def _finish(self, attempt: Attempt) -> None:
        if not self.statements.finish(attempt.event.id, attempt.number):
            raise StaleAttempt  # roll back: another attempt may commit its effects

    def _record(self, attempt: Attempt, error: BaseException | None, seconds: float) -> Result:
        """Write a failure down; if Postgres is away, the attempt stays open and a sweep finds the event."""
        if error is None:
            return Result(attempt, Outcome.DONE, seconds)
        if isinstance(error, StaleAttempt):
            return Result(attempt, Outcome.STALE_ATTEMPT, seconds)
        failure = attempt.failure(error)
        if not self.statements.fail(attempt.event.id, attempt.number, failure):
            return Result(attempt, Outcome.STALE_ATTEMPT, seconds)
        return Result(attempt, Outcome.DEAD if failure.dead else Outcome.FAILED, seconds, error, failure)

    def _limit(self, handler: Handler | None) -> float:
        return (handler and handler.time_limit_seconds) or self.time_limit_seconds


def report(result: Result, enqueue_dead_letter: Callable[[int], object]) -> None:
    """Tell the logs, Sentry and the queue of dead letters how an attempt ended."""
    fields: dict[str, Any] = result.attempt.fields()
    if result.outcome is Outcome.STALE_ATTEMPT:
        log.warning("event.stale_attempt", **fields)
        return
    if result.failure is None or result.error is None:
        name = "event.done" if result.attempt.handler else "event.unhandled"
        log.info(name, **fields, seconds=round(result.seconds, 4))
        return
    shown = {**fields, "error": result.failure.error, "seconds": round(result.seconds, 4)}
    if result.outcome is Outcome.DEAD:
        log.error("event.dead", **shown)
        enqueue_dead_letter(result.attempt.event.id)
        reporting.dead_letter(error=result.error, **fields)
        return
    log.warning("event.failed_attempt", **shown, again_after_seconds=result.failure.after_seconds)
    reporting.failed_attempt(error=result.error, **fields)


def _event(head: Head, late: bool) -> Event:
    return Event(
        id=head.id,
        key=head.key,
        kind=head.kind,
        type=head.type,
        conversation=head.conversation,
        occurred_at=head.occurred_at,
        accepted_at=head.accepted_at,
        late=late,
        payload=head.payload,
    )
