"""Jobs of several lanes in one transaction, where their handlers say ``grouped=True``: a savepoint each, one commit.

Promises: what one job promises, each of them does. Their effects and ``done`` commit together, behind the fence; a
handler that fails rolls back to its own savepoint, and its failed attempt is written down like any other. Only first
attempts run in a group: what was tried before runs alone, so that one that ends its worker ends the others once.
Cannot see: how long a lock that a handler took is wanted by others. It is held until the whole group commits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.lanes.attempt import Attempt
from app.lanes.execution import Execution, LookAhead, is_conflict, is_lost_connection
from app.lanes.outcome import Step
from app.lanes.result import Result
from app.lanes.rows import Head
from config.logging import get_logger, hiding

REST_SECONDS = 30.0  # without groups, after handlers of one have come into somebody's way

log = get_logger(__name__)


class GroupLost(Exception):
    """The transaction of the group can't go on; each of its jobs is to run alone."""


@dataclass(slots=True)
class Rest:
    """Until when a process runs no groups."""

    until: float = 0.0  # monotonic


@dataclass(frozen=True, slots=True)
class Ran:
    """An attempt whose handler has run, in a transaction that is not committed."""

    attempt: Attempt
    seconds: float
    has_sends: bool = False
    error: BaseException | None = None  # of its handler: what it did is rolled back


@dataclass(slots=True)
class Group:
    """Runs jobs together on the connection of an execution, and alone where that does not work."""

    execution: Execution
    rest: Rest

    def may_share(self, head: Head) -> bool:
        """Whether the job may run with others."""
        handler = self.execution.handler_of(head)
        is_fresh = handler is not None and handler.grouped and head.attempts == 0
        return is_fresh and self.execution.may_begin_ahead(head) and time.monotonic() >= self.rest.until

    def execute(self, heads: Sequence[Head], look_ahead: LookAhead) -> list[Step]:
        """Run jobs of different lanes.

        1. begin: as ``Execution.execute``, for all of them. There is no step for what somebody has locked: it is to be
           run alone;
        2. perform: one handler after the other, each behind a savepoint; then commit the effects of those that
           succeeded and their ``done``, behind the fence, with 1 of the jobs that are to run next;
        3. record: the handlers that failed are written down, each in a commit of its own;
        4. report.

        Dying after 1 or within 2 leaves open attempts of which nothing is committed: they do not count. Where the
        transaction cannot go on (a deadlock, a lock, a conflict, the fence) all are run alone, in the attempts that
        have begun. Dying within 3 leaves open the attempts that failed; they do not count either.
        """
        attempts = self._begin(heads)
        return self._run(attempts, look_ahead) if len(attempts) > 1 else self._alone(attempts)

    def _begin(self, heads: Sequence[Head]) -> list[Attempt]:
        begun = {head.id: self.execution.begun.pop(head.id, None) for head in heads}
        if missing := [head for head in heads if begun[head.id] is None]:
            begun |= self.execution.begin(missing, grouped=True, waits=False)
        return [attempt for attempt in begun.values() if attempt is not None]

    def _run(self, attempts: Sequence[Attempt], look_ahead: LookAhead) -> list[Step]:
        ran: list[Ran] = []
        try:
            with self.execution.statements.transaction():
                for attempt in attempts:
                    ran.append(self._perform(attempt))
                    self._go_on_after(ran[-1])
                begun = self._finish([each.attempt for each in ran if each.error is None], look_ahead)
                for each in ran:
                    if each.has_sends:
                        self.execution.statements.follow_merge(each.attempt.head)
        except self.execution.must_end:
            raise
        except BaseException as error:
            self._rest_after(error)
            return self._recover(attempts, ran, error)
        self.execution.begun |= begun
        if any(each.has_sends for each in ran):
            self.execution.wake()
        return [self._report(each) for each in ran]

    def _finish(self, attempts: Sequence[Attempt], look_ahead: LookAhead) -> dict[int, Attempt]:
        return self.execution.finish(attempts, look_ahead) if attempts else {}

    def _perform(self, attempt: Attempt) -> Ran:
        """Run a handler behind a savepoint of its own."""
        statements = self.execution.statements
        started = time.monotonic()
        error: BaseException | None = None
        has_sends = False
        with hiding(attempt.payloads):
            try:
                with statements.savepoint():
                    has_sends = self.execution.call(attempt, in_group=True)
            except self.execution.must_end:
                raise
            except BaseException as raised:  # a handler may raise SystemExit, CancelledError, anything
                error = raised
        return Ran(attempt, time.monotonic() - started, has_sends and error is None, error)

    def _go_on_after(self, ran: Ran) -> None:
        """Raise GroupLost if the transaction of the others cannot go on, or would go on in a changed session."""
        if ran.error is not None and is_conflict(ran.error):
            raise GroupLost from ran.error
        if not self.execution.statements.in_transaction:
            raise GroupLost from ran.error

    def _recover(self, attempts: Sequence[Attempt], ran: Sequence[Ran], error: BaseException) -> list[Step]:
        """Write down what failed on its own account, and run all others alone.

        If the connection was lost at the commit nobody knows whether that happened, so no handler runs again in this
        attempt: all have failed, and the fence refuses that where they are done.
        """
        failed = {
            each.attempt.job_id: each
            for each in ran
            if each.error is not None and not is_conflict(each.error)
        }
        if is_lost_connection(error):
            failed = {each.attempt.job_id: replace(each, error=each.error or error) for each in ran} | failed
        steps = []
        for attempt in attempts:
            if each := failed.get(attempt.job_id):
                steps.append(self._report(each))
            else:
                steps += self._alone([attempt])
        return steps

    def _alone(self, attempts: Sequence[Attempt]) -> list[Step]:
        return [self.execution.run(attempt, _nothing) for attempt in attempts]

    def _report(self, ran: Ran) -> Step:
        with hiding(ran.attempt.payloads):
            result: Result = self.execution.record(ran.attempt, ran.error, ran.seconds)
            self.execution.report(result)
        return result.step()

    def _rest_after(self, error: BaseException) -> None:
        cause = error.__cause__ if isinstance(error, GroupLost) and error.__cause__ else error
        log.warning("group.lost", error=type(cause).__name__)
        if is_conflict(cause):
            self.rest.until = time.monotonic() + REST_SECONDS


def _nothing(_going_on: object) -> list[Head]:
    return []
