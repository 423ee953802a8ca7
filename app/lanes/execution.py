"""From the first job of a lane to what became of it: one attempt, in named steps, its side effects last.

begin → perform → record → report
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import psycopg2
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from app.handlers import UNEXPECTED, Handler, Registry
from app.lanes import routing
from app.lanes.attempt import Attempt, AttemptsExhaustedError, WorkerLostError
from app.lanes.outcome import Outcome, Step
from app.lanes.result import Result, report
from app.lanes.rows import Begun, Head
from app.lanes.statements import Beginning, LaneStatements
from app.lanes.tally import Tally
from app.lanes.wishes import dialog_of, write_wishes
from app.stores import Fault, JobState, judge
from config.logging import get_logger, hiding

MAX_TRIED_AGAIN = 20  # attempts that cost nothing
MAX_ATTEMPTS_EVER = 32_000  # ``jobs.attempts`` is a smallint, and retries by people do not reset it

LookAhead = Callable[[Collection[int]], Sequence[Head]]  # what runs next if these lanes go on

log = get_logger(__name__)


class StaleAttempt(Exception):
    """The fence refused: the job is no longer in our attempt."""


@dataclass(slots=True)
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
    tally: Tally = field(default_factory=Tally)  # of what has ended
    begun: dict[int, Attempt] = field(default_factory=dict)  # by job: with the end of what ran before

    def execute(self, head: Head, look_ahead: LookAhead) -> Step:
        """Run one job.

        1. begin: count the attempt, in a commit before the handler runs, so that a worker that dies under a job cannot
           loop for ever: that of 2 of the job before, where this one was foreseen, else one of its own;
        2. perform: run the handler, and commit its effects and ``done`` together, behind the fence, with 1 of the
           jobs that are to run next. What stands in their way leaves them to a commit of their own;
        3. record: what did not succeed is written down, behind the fence; it began nothing else;
        4. report: logs, Sentry, the queue of dead letters.

        Dying after 1, or after 2 under the next job, leaves an open attempt, which counts. Dying after 2 or 3 loses a
        log line; a sweep brings the queue of dead letters in line with the table.
        """
        attempt = self.begun.pop(head.id, None) or self._begin_alone(head)
        if isinstance(attempt, Step):
            return attempt
        return self.run(attempt, look_ahead)

    def run(self, attempt: Attempt, look_ahead: LookAhead) -> Step:
        """Run an attempt that has begun: steps 2 to 4."""
        with hiding(attempt.payloads):
            result = self.record(attempt, *self._perform(attempt, look_ahead))
            self.report(result)
        return result.step()

    def handler_of(self, head: Head) -> Handler | None:
        """Return the handler that is to run the job now; None if it is not known here."""
        return routing.route(self.registry, head)

    def begin(
        self, heads: Sequence[Head], *, grouped: bool = False, waits: bool = True
    ) -> dict[int, Attempt]:
        """Begin jobs in a commit of their own; return the attempts of those that may run."""
        return self._attempts(
            heads, self.statements.begin(heads, self._beginning(heads, grouped), waits=waits)
        )

    def finish(self, attempts: Sequence[Attempt], look_ahead: LookAhead) -> dict[int, Attempt]:
        """Inside the transaction of their effects: they are done. Returns the attempts of the jobs that run next."""
        ahead = look_ahead([attempt.head.asked for attempt in attempts])
        heads = [head for head in ahead if self.may_begin_ahead(head)]
        done = [(attempt.job_id, attempt.number) for attempt in attempts]
        begun = self.statements.finish(done, heads, self._beginning(heads, grouped=len(ahead) > 1))
        if begun is None:
            # Roll back: another attempt may commit its effects
            raise StaleAttempt("another job of its lane was begun meanwhile")
        return self._attempts(heads, begun)

    def record(self, attempt: Attempt, error: BaseException | None, seconds: float) -> Result:
        """Write a failure down; if Postgres is away, the attempt stays open and a sweep finds the job."""
        if error is None:
            return Result(attempt, Outcome.DONE, seconds)
        failure = attempt.failure(error, costs_nothing=self._costs_nothing(attempt, error))
        recorded = self.statements.fail(attempt.job_id, attempt.number, failure)
        if not recorded or (isinstance(error, StaleAttempt) and not failure.dead):
            return Result(attempt, Outcome.STALE_ATTEMPT, seconds)
        return Result(attempt, Outcome.DEAD if failure.dead else Outcome.FAILED, seconds, error, failure)

    def report(self, result: Result) -> None:
        """Tell whoever wants to know how an attempt ended."""
        report(result, self.enqueue_dead_letter)
        self.tally.add(result.outcome, result.attempt.job_id)
        self.record_seconds(result.seconds)

    def call(self, attempt: Attempt, *, in_group: bool = False) -> bool:
        """Run the handler inside the transaction of its effects; return whether it wrote sends."""
        limit_seconds = attempt.handler.time_limit_seconds or self.time_limit_seconds
        self.set_deadline(limit_seconds)
        dialog = dialog_of(attempt, self.registry, self.statements)
        context = attempt.run(self.statements, limit_seconds, self.wake, dialog, in_group=in_group)
        write_wishes(attempt, context, self.statements)
        return context.has_sends

    def wake(self) -> None:
        """Wake the senders: sends are committed."""
        try:
            self.wake_senders()
        except RedisError as error:  # a sweep wakes them within a second
            log.warning("outbox.not_woken", error=type(error).__name__)

    def _begin_alone(self, head: Head) -> Attempt | Step:
        """Begin one job; a step if there is nothing to run."""
        handler = self.handler_of(head)
        if handler is None:
            return Step(head.asked, Outcome.UNKNOWN_HANDLER, head.id)
        if head.attempts >= MAX_ATTEMPTS_EVER:
            return self._give_up(head, handler)
        if routing.is_obsolete(head, handler):
            return Step(head.asked, self._end_unrun(head, handler), head.id)
        if self._looks_stale(head) and self.statements.expire(head.id, handler.max_age_seconds or 0):
            log.info(
                "event.stale", job_id=head.id, event_id=head.event_id, key=head.key, handler=handler.name
            )
            return Step(head.asked, Outcome.STALE, head.id)
        if (waits := self._gather(head, handler)) is not None:
            return waits
        attempt = self.begin([head]).get(head.id)
        if attempt is None:  # another attempt got there first, or a person paused the conversation
            return Step(head.asked, Outcome.STALE_ATTEMPT, head.id)
        return (
            attempt
            if handler.join_seconds is None
            else replace(attempt, burst=self.statements.burst(head.id))
        )

    def _gather(self, head: Head, handler: Handler) -> Step | None:
        """Fix which messages a handler that joins is to run together; a step if it has to wait for more."""
        if handler.join_seconds is None or head.attempts or head.joined_to is not None:
            return None
        if joined := self.statements.join(head, handler.join_seconds):
            return None
        return Step(head.asked, Outcome.STALE_ATTEMPT if joined is None else Outcome.GATHERING, head.id)

    def _end_unrun(self, head: Head, handler: Handler) -> Outcome:
        """End a message that nothing expected as unhandled, and a timeout whose answer came first as stale."""
        state = JobState.UNHANDLED if handler.name == UNEXPECTED else JobState.STALE
        if not self.statements.end_unrun(head, state):
            return Outcome.STALE_ATTEMPT
        fields = {"job_id": head.id, "event_id": head.event_id, "key": head.key, "kind": head.kind}
        log.info("event.unhandled" if state is JobState.UNHANDLED else "event.stale", **fields)
        return Outcome.STALE

    def _give_up(self, head: Head, handler: Handler) -> Step:
        """Let the job die without another attempt: the column that counts them is full."""
        begun = Begun(head.attempts, head.attempts_at_retry, late=False, before_lost=False)
        error = AttemptsExhaustedError(f"tried {head.attempts} times; discard it, or send it anew")
        result = self.record(Attempt.of(head, handler, begun), error, 0)
        self.report(result)
        return result.step()

    def _perform(self, attempt: Attempt, look_ahead: LookAhead) -> tuple[BaseException | None, float]:
        """Return the error, if there is one, and the seconds that it took."""
        started = time.monotonic()
        error: BaseException | None = None
        try:
            self._refuse_after_death(attempt)
            with self.statements.transaction():
                has_sends = self.call(attempt)
                if len(attempt.events) > 1:
                    self.statements.finish_members(attempt.job_id, attempt.number)
                begun = self.finish([attempt], look_ahead)
                if has_sends:
                    self.statements.follow_merge(attempt.head)
            self.begun |= begun
            if has_sends:
                self.wake()
        except self.must_end:
            raise
        except BaseException as raised:  # a handler may raise SystemExit, CancelledError, anything
            error = raised
        return error, time.monotonic() - started

    def _refuse_after_death(self, attempt: Attempt) -> None:
        """Raise WorkerLostError if the attempt before was the last and has no end.

        An attempt beyond the policy whose predecessor did end is one more run: a release lowered ``max_attempts``.
        """
        if attempt.is_beyond_policy and attempt.before_lost:
            raise WorkerLostError(f"the worker died, or lost its claim, in attempt {attempt.number - 1}")

    def _beginning(self, heads: Sequence[Head], grouped: bool) -> Beginning:
        known = {head.id: self.handler_of(head) for head in heads}
        return Beginning(
            self.worker, {id_: handler.name for id_, handler in known.items() if handler}, grouped
        )

    def _attempts(self, heads: Sequence[Head], begun: dict[int, Begun]) -> dict[int, Attempt]:
        known = ((head, self.handler_of(head)) for head in heads if head.id in begun)
        return {head.id: Attempt.of(head, handler, begun[head.id]) for head, handler in known if handler}

    def may_begin_ahead(self, head: Head) -> bool:
        """Whether nothing is to be looked at before the job begins; else it begins in a commit of its own."""
        handler = self.handler_of(head)
        if handler is None or handler.join_seconds is not None or routing.is_obsolete(head, handler):
            return False
        return head.attempts < MAX_ATTEMPTS_EVER and not self._looks_stale(head)

    def _looks_stale(self, head: Head) -> bool:
        """Whether the job is too old to begin, as it looks from here."""
        handler = self.handler_of(head)
        if handler is None or handler.max_age_seconds is None or head.attempts or head.replayed:
            return False
        return (datetime.now(UTC) - head.occurred_at).total_seconds() > handler.max_age_seconds

    def _costs_nothing(self, attempt: Attempt, error: BaseException) -> bool:
        """Whether the attempt failed only because of other transactions: a deadlock, a lock, a conflict, the fence.

        MAX_TRIED_AGAIN times at most in a job's life, since its handler may be what always comes into its own way.
        """
        if not is_conflict(error) and not isinstance(error, StaleAttempt):
            return False
        return self.statements.tried_again(attempt.job_id) < MAX_TRIED_AGAIN


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was in the way."""
    return isinstance(error, DBAPIError | psycopg2.Error) and judge(error) is Fault.AGAIN


def is_lost_connection(error: BaseException) -> bool:
    """Whether it is unknown what became of the statement."""
    return isinstance(error, DBAPIError | psycopg2.Error) and judge(error) in (Fault.AWAY, Fault.CONNECTION)
