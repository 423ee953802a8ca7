"""A connection to Postgres that handlers share: they must not end Neverdrop's transaction.

Promises: a commit inside ``guarded`` is refused, and what would outlive the transaction (SET, LISTEN, a temporary
table, an advisory lock) is noticed. Costs no round trip: it looks at the text of each statement.
Cannot see what a function or a trigger in the database does.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from psycopg2 import extensions
from psycopg2.sql import Composable

from app.errors import NeverdropError

_START = r"(?:^|;)(?:\s|--[^\n]*\n|/\*.*?\*/)*"  # of a statement
ENDS_TRANSACTION = re.compile(
    r"(?:COMMIT|ABORT|START\s+TRANSACTION|PREPARE\s+TRANSACTION|ROLLBACK(?!(?:\s+(?:WORK|TRANSACTION))?\s+TO\b))\b",
    re.IGNORECASE,
)
ENDS_TRANSACTION_ALONE = re.compile(
    r"(?:BEGIN|END)\b", re.IGNORECASE
)  # in a body between $$ they are no statements
ENDS_PREPARED = re.compile(r"(?:DEALLOCATE|DISCARD)\b", re.IGNORECASE)
OUTLIVES = re.compile(
    rf"{_START}(?:SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)|RESET\b|PREPARE\b|LISTEN\b|UNLISTEN\b|LOAD\b)"
    r"|\bTEMP(?:ORARY)?\b|advisory_lock|\bset_config\b|\bWITH\s+HOLD\b",
    re.IGNORECASE | re.DOTALL,
)
STATEMENT = re.compile(_START, re.DOTALL)
SAVEPOINT = "neverdrop_job"


class TransactionError(NeverdropError):
    """A handler touched the transaction that marks its event done."""


class GuardedConnection(extensions.connection):
    """psycopg2's connection, with a guard that is up while a handler runs."""

    guard_up = False
    rolled_back = False  # since the guard went up
    max_wait_seconds: float | None = None  # for an answer; see ``postgres_wait``
    max_handler_wait_seconds: float | None = None  # the same for a handler's statements
    savepoint_due = False  # to be made before the next statement
    lost_savepoint = False  # what was done since then cannot be rolled back by itself
    waits = 0  # for Postgres, ever
    _waits_before = 0
    unclean = False  # something may outlive a handler's transaction: the connection is not to be used again

    def poll(self) -> int:
        self.waits += 1
        return int(super().poll())

    def expect_savepoint(self) -> None:
        """Make a savepoint before the next statement, and none if there is no other."""
        self.savepoint_due, self.lost_savepoint, self._waits_before = True, False, self.waits

    def make_savepoint(self) -> None:
        """Make the savepoint that is due."""
        self.savepoint_due = False
        self._execute_plainly(f"SAVEPOINT {SAVEPOINT}")

    def roll_back_to_savepoint(self) -> None:
        """Undo what was done since ``expect_savepoint``; see ``goes_on`` for whether that was possible."""
        if self.savepoint_due:  # no cursor of ours was used; one that handlers make themselves may have been
            self.lost_savepoint = self.waits != self._waits_before
        elif not self.closed and not self.rolled_back:
            self.lost_savepoint = True
            self._execute_plainly(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            self.lost_savepoint = False

    @property
    def in_error(self) -> bool:
        """Whether Postgres refuses everything but a rollback."""
        return bool(self.info.transaction_status == extensions.TRANSACTION_STATUS_INERROR)

    def refuse_error(self) -> None:
        """Raise TransactionError if a handler went on after an error of the database."""
        if self.in_error:
            raise TransactionError("the handler went on after an error of the database")

    @property
    def goes_on(self) -> bool:
        """Whether the transaction can go on after a handler."""
        ended = self.rolled_back or (self.status == extensions.STATUS_BEGIN and self._server_is_idle())
        return not (ended or self.in_error or self.lost_savepoint)

    def _execute_plainly(self, statement: str) -> None:
        with self.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute(statement)

    def commit(self) -> None:
        if self.guard_up:
            self.unclean = True  # SQLAlchemy takes its transaction for ended, and it is not
            raise TransactionError(
                "a handler must not commit: Neverdrop does, with the event's being done, after it has returned"
            )
        super().commit()

    def rollback(self) -> None:
        self.rolled_back = self.guard_up or self.rolled_back
        super().rollback()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Run the team's code inside. TransactionError at the end if it ended its transaction."""
        self.guard_up, self.rolled_back = True, False
        began_at, our_wait_seconds = self.status, self.max_wait_seconds
        self.max_wait_seconds = self.max_handler_wait_seconds
        try:
            yield
        finally:
            self.guard_up, self.max_wait_seconds = False, our_wait_seconds
        used = self.status != began_at
        if self.rolled_back or self.autocommit or (used and self._server_is_idle()):
            raise TransactionError("the handler ended the transaction that was to commit its effects")

    def _server_is_idle(self) -> bool:
        return bool(self.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE)

    def check(self, statement: Any, cursor: extensions.cursor) -> None:
        """Raise TransactionError for a statement that a handler must not run; note what outlives the transaction."""
        sql = statement.as_string(cursor) if isinstance(statement, Composable) else statement
        sql = sql.decode(errors="replace") if isinstance(sql, bytes) else str(sql)
        if _ends_transaction(sql):
            raise TransactionError(f"a handler must not end its transaction: {_beginning(sql)}")
        if any(ENDS_PREPARED.match(sql, start.end()) for start in _statements(sql)):
            raise TransactionError(
                f"a handler must not drop what the session has prepared: {_beginning(sql)}"
            )
        self.unclean = self.unclean or OUTLIVES.search(sql) is not None


def _guarded(name: str) -> Callable[..., Any]:
    original = getattr(extensions.cursor, name)

    @wraps(original)
    def call(self: extensions.cursor, statement: Any, *args: Any, **kwargs: Any) -> Any:
        connection: Any = self.connection
        if connection.guard_up:
            connection.check(statement, self)
        if connection.savepoint_due:
            connection.make_savepoint()
        return original(self, statement, *args, **kwargs)

    return call


class GuardedCursor(extensions.cursor):
    """psycopg2's cursor, which shows its connection each statement."""

    execute = _guarded("execute")
    executemany = _guarded("executemany")
    callproc = _guarded("callproc")


def _statements(sql: str) -> Iterator["re.Match[str]"]:
    return STATEMENT.finditer(sql) if "$" not in sql else iter([m] if (m := STATEMENT.match(sql)) else [])


def _ends_transaction(sql: str) -> bool:
    first = STATEMENT.match(sql)
    if first is not None and ENDS_TRANSACTION_ALONE.match(sql, first.end()):
        return True
    return any(ENDS_TRANSACTION.match(sql, start.end()) for start in _statements(sql))


def _beginning(sql: str) -> str:
    """Return the first words: the rest may hold what a person wrote."""
    return " ".join(sql.split()[:2])
