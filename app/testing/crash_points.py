"""The moments at which a process under test can die: before and after each commit that writes, and each send.

A process that has died does nothing any more: no statement, no commit, no command of Redis, whatever its code catches
or does at its end. What its open transactions did is rolled back, as Postgres does by itself.
"""

import re
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from celery.exceptions import WorkerTerminate
from psycopg2 import extensions
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import Engine, event

WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|CREATE|ALTER|DROP|TRUNCATE)\b", re.IGNORECASE)
PREPARE = re.compile(r"\s*PREPARE (\w+)")
EXECUTE = re.compile(r"\s*EXECUTE (\w+)")


class Killed(WorkerTerminate):
    """The process dies here. Of Celery's kind, so that nothing takes it for a failure of a handler."""


class CrashPoints:
    """Counts the points that a run passes, and ends it at one of them."""

    def __init__(self, die_at: int | None = None) -> None:
        self.passed: list[str] = []  # in words
        self.doing = ""  # the task that runs
        self._die_at = die_at
        self._dead = False
        self._counts = False
        self._writing: dict[str, bool] = {}  # of prepared statements, by name

    def begin(self) -> None:
        """Count from here on: what came before was preparation."""
        self._counts = True

    def end(self) -> None:
        """Count no more: what follows looks at what became of it."""
        self._counts = False

    def pass_by(self, point: str) -> None:
        """Pass a point, or die there."""
        self.check_alive()
        if not self._counts:
            return
        self.passed.append(f"{point} ({self.doing})")
        if len(self.passed) == self._die_at:
            self._dead = True
            raise Killed(self.passed[-1])

    def check_alive(self) -> None:
        """Raise Killed in a process that has died, and in its other threads what a broken connection raises."""
        if not self._dead:
            return
        if threading.current_thread() is threading.main_thread():
            raise Killed(self.passed[-1])
        raise RedisConnectionError("the process has died")

    def revive(self) -> None:
        """Be another process, which does not die."""
        self._dead = False
        self._die_at = None

    def writes(self, statement: Any) -> bool:
        """Return whether a statement, or the prepared one that it runs, writes."""
        text = statement.decode(errors="replace") if isinstance(statement, bytes) else str(statement)
        if prepared := PREPARE.match(text):
            self._writing[prepared[1]] = WRITES.search(text) is not None
            return False
        if run := EXECUTE.match(text):
            return self._writing.get(run[1], True)
        return WRITES.search(text) is not None

    def watch_redis(self, client: "Redis") -> None:
        """Let the client of a dead process reach nobody."""
        pool: Any = client.connection_pool
        original: Callable[..., Any] = pool.get_connection

        def get_connection(*args: Any, **kwargs: Any) -> Any:
            self.check_alive()
            return original(*args, **kwargs)

        pool.get_connection = get_connection

    def watch_postgres(self, engine: Engine) -> None:
        """Count the commits of every connection that the engine opens from now on."""

        @event.listens_for(engine, "connect")
        def _connect(driver: Any, _record: Any) -> None:
            kind: Any = type(driver)
            driver.__class__ = _watched_connection(kind)
            driver.points = self


@cache
def _watched_connection(kind: type[Any]) -> type[Any]:
    """Return a kind of psycopg2 connection that passes a point before and after each commit that writes."""

    class WatchedConnection(kind):  # type: ignore[misc]
        points: CrashPoints
        wrote = False

        def cursor(self, *args: Any, **options: Any) -> Any:
            factory = options.pop("cursor_factory", None) or self.cursor_factory or extensions.cursor
            return super().cursor(*args, cursor_factory=_watched_cursor(factory), **options)

        def commit(self) -> None:
            self.points.check_alive()
            wrote, self.wrote = self.wrote, False
            if wrote:
                self.points.pass_by("before a commit")
            super().commit()
            if wrote:
                self.points.pass_by("after a commit")

        def rollback(self) -> None:
            self.wrote = False
            super().rollback()

    return WatchedConnection


@cache
def _watched_cursor(kind: type[Any]) -> type[Any]:
    """Return a kind of cursor that tells its connection what writes, and outside transactions passes points itself."""

    class WatchedCursor(kind):  # type: ignore[misc]
        def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
            return self._watch(super().execute, statement, *args, **kwargs)

        def executemany(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
            return self._watch(super().executemany, statement, *args, **kwargs)

        def _watch(self, run: Callable[..., Any], statement: Any, *args: Any, **kwargs: Any) -> Any:
            connection: Any = self.connection
            points: CrashPoints = connection.points
            points.check_alive()
            writes = points.writes(statement)
            commits = writes and connection.autocommit
            if commits:
                points.pass_by("before a commit")
            answer = run(statement, *args, **kwargs)
            connection.wrote = connection.wrote or (writes and not commits)
            if commits:
                points.pass_by("after a commit")
            return answer

    return WatchedCursor
