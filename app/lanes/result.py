"""How an attempt ended, and who is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from app.lanes.attempt import Attempt
from app.lanes.outcome import Outcome, Step
from app.lanes.rows import Failure
from app.watch import reporting
from config.logging import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended."""

    attempt: Attempt
    outcome: Outcome
    seconds: float
    error: BaseException | None = None
    failure: Failure | None = None

    def step(self) -> Step:
        """Return what it means for the lane."""
        failure = self.failure if self.outcome in (Outcome.FAILED, Outcome.DEAD) else None
        skipped = self.outcome is Outcome.FAILED and failure is not None and not failure.blocks_lane
        error = failure.error if failure else None
        return Step(self.attempt.head.asked, self.outcome, self.attempt.job_id, error, skipped)


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
