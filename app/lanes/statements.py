"""What a lane asks of Postgres, on one connection. A handler's own statements go through SQLAlchemy beside them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from app import outbox
from app.handlers import DialogChange, Event
from app.lanes import bursts, dialog_sql, sql
from app.lanes.rows import Begun, Failure, Head
from app.stores import JobState, Prepared, TransactionError


@dataclass(frozen=True, slots=True)
class Beginning:
    """How jobs are begun: by whom, each for which handler, and whether together, in one transaction."""

    worker: str
    handlers: Mapping[int, str]  # names, by job
    grouped: bool = False

    def parameters(self, heads: Sequence[Head]) -> tuple[Any, ...]:
        """Return the parameters of the statements that begin."""
        return (
            [head.lane for head in heads],
            [head.id for head in heads],
            [head.attempts for head in heads],
            [self.handlers[head.id] for head in heads],
            [head.turned_by for head in heads],
            self.worker,
            self.grouped,
        )


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
        self._ensure_usable()
        self._driver.autocommit = False
        try:
            with self.connection.begin():
                yield self.connection
        finally:
            if self.usable:
                self._driver.autocommit = True

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Inside a transaction: what a handler does in here is rolled back if it fails, and nothing before it.

        Costs a round trip only where the handler asks something of Postgres.
        """
        self._driver.expect_savepoint()
        try:
            yield
            self._driver.refuse_error()
        except BaseException:
            with suppress(psycopg2.Error):  # then the transaction is lost, see ``in_transaction``
                self._driver.roll_back_to_savepoint()
            raise
        finally:
            self._driver.savepoint_due = False

    def _make_savepoint_if_due(self) -> None:
        if self._driver.savepoint_due:
            self._driver.make_savepoint()

    @property
    def in_transaction(self) -> bool:
        """Whether the transaction that was begun is there, and the session as clean as it was."""
        return self.usable and self.connection.in_transaction() and self._driver.goes_on

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
        """Return the first jobs of each lane that has any, ``count`` at most, in their order."""
        self._ensure_usable()
        found: dict[int, list[Head]] = {}
        for row in self._prepared.rows(sql.HEADS, list(lanes), count, settle_seconds):
            head = Head(*row)
            found.setdefault(head.asked, []).append(head)
        return found

    def begin(self, heads: Sequence[Head], beginning: "Beginning", *, waits: bool = True) -> dict[int, Begun]:
        """Count an attempt of each job, and return those that may run: none that is not the first, was begun, or is
        paused; and where it does not wait for locks, none that somebody has locked.
        """
        self._ensure_usable()
        rows = self._prepared.rows(sql.BEGIN, *beginning.parameters(heads), waits)
        return {job_id: Begun(*begun) for job_id, *begun in rows}

    def expire(self, job_id: int, max_age_seconds: float) -> bool:
        """End a job as stale if its event is older than this, and it was never begun or replayed."""
        self._ensure_usable()
        ((expired,),) = self._prepared.rows(sql.EXPIRE, job_id, max_age_seconds)
        return bool(expired)

    def end_unrun(self, head: Head, state: JobState) -> bool:
        """End a job that no handler is to run; False if the lane's dialog has taken a turn meanwhile."""
        self._ensure_usable()
        ((ended,),) = self._prepared.rows(dialog_sql.END_UNRUN, head.id, state, head.turned_by)
        return bool(ended)

    def join(self, head: Head, seconds: float) -> bool | None:
        """Fix the burst that a job begins; see ``bursts.join``."""
        self._ensure_usable()
        return bursts.join(self._prepared, head.id, head.lane, seconds)

    def burst(self, job_id: int) -> tuple[Event, ...]:
        """Return the events of a job's burst, in their order."""
        self._ensure_usable()
        return bursts.events_of(self._prepared, job_id)

    def finish_members(self, job_id: int, attempt: int) -> None:
        """Inside the transaction of its effects: the other jobs of the burst are done."""
        bursts.finish_members(self._prepared, job_id, attempt)

    def dialog_state(self, lane: int) -> str | None:
        """For a handler, return what is kept of the lane's dialog, as JSON."""
        self._make_savepoint_if_due()
        return next((state for (state,) in self._prepared.rows(dialog_sql.READ_STATE, lane)), None)

    def change_dialog(self, job_id: int, attempt: int, change: DialogChange, *, keeps_place: bool) -> None:
        """Inside the transaction of a job's effects: write what its attempt changed of its lane's dialog."""
        self._make_savepoint_if_due()
        if change.keeps_state:
            self._prepared.rows(dialog_sql.KEEP_STATE, job_id, attempt, change.state)
        if change.turns:
            asked = change.expectation
            expects = (
                (asked.name, asked.answer_handler, asked.timeout_handler, asked.timeout_seconds)
                if asked
                else (None,) * 4
            )
            self._prepared.rows(dialog_sql.TURN, job_id, attempt, *expects, keeps_place)

    def finish(
        self, done: Sequence[tuple[int, int]], heads: Sequence[Head], beginning: "Beginning"
    ) -> dict[int, Begun] | None:
        """Inside the transaction of their effects: jobs, by number and attempt, are done, and the next are begun.

        None if one of them may not be done: then roll back.
        """
        finished = [[job_id for job_id, _ in done], [number for _, number in done]]
        if not heads:
            ((is_done,),) = self._prepared.rows(sql.FINISH, *finished)
            return {} if is_done else None
        rows = self._prepared.rows(sql.HAND_OVER, *finished, *beginning.parameters(heads))
        if not rows[0][0]:
            return None
        return {job_id: Begun(*begun) for _, job_id, *begun in rows if job_id is not None}

    def follow_merge(self, head: Head) -> None:
        """Inside the transaction of its effects, once the job is done: its sends go where its conversation went."""
        if head.conversation is not None:
            outbox.follow_merge(self.connection, head.lane, head.event_id, head.conversation)

    def fail(self, job_id: int, attempt: int, failure: Failure) -> bool:
        """Record that the attempt failed, on a new connection if this one died; False if it is a stale attempt."""
        if self.usable:
            try:
                return self._fail(job_id, attempt, failure)
            except DBAPIError:
                if self.usable:
                    raise
        self.reconnect()
        return self._fail(job_id, attempt, failure)

    def tried_again(self, job_id: int) -> int:
        """How many of the job's attempts failed only because another transaction was in the way."""
        self._ensure_usable()
        ((count,),) = self._prepared.rows(sql.TRIED_AGAIN, job_id)
        return int(count)

    def _fail(self, job_id: int, attempt: int, failure: Failure) -> bool:
        if failure.dead:
            rows = self._prepared.rows(sql.DIE, job_id, attempt, failure.error, failure.traceback)
        else:
            rows = self._prepared.rows(
                sql.RETRY,
                job_id,
                attempt,
                failure.after_seconds,
                failure.blocks_lane,
                failure.error,
                failure.traceback,
                int(failure.costs_nothing),
            )
        ((failed,),) = rows
        return bool(failed)
