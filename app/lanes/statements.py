"""What a lane asks of Postgres, on one connection. A handler's own statements go through SQLAlchemy beside them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from app.lanes import sql
from app.lanes.rows import Begun, Failure, Head
from app.stores import Prepared, TransactionError


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
        """Return the first jobs of each lane that has any, ``count`` at most, in their order."""
        self._ensure_usable()
        found: dict[int, list[Head]] = {}
        for row in self._prepared.rows(sql.HEADS, list(lanes), count, settle_seconds):
            head = Head(*row)
            found.setdefault(head.asked, []).append(head)
        return found

    def begin(self, head: Head, worker: str, handler: str) -> Begun | None:
        """Count an attempt; None if the job may not run any more: it is not the first, was begun, or is paused."""
        self._ensure_usable()
        for row in self._prepared.rows(sql.BEGIN, head.lane, head.id, head.attempts, worker, handler):
            return Begun(*row)
        return None

    def expire(self, job_id: int, max_age_seconds: float) -> bool:
        """End a job as stale if its event is older than this, and it was never begun or replayed."""
        self._ensure_usable()
        ((expired,),) = self._prepared.rows(sql.EXPIRE, job_id, max_age_seconds)
        return bool(expired)

    def finish(self, job_id: int, attempt: int) -> bool:
        """Inside the transaction of its effects: the job is done. False if it may not be: then roll back."""
        ((finished,),) = self._prepared.rows(sql.FINISH, job_id, attempt)
        return bool(finished)

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
