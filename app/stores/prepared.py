"""Run statements that Postgres plans once a connection, through psycopg2 itself.

For statements this small, SQLAlchemy's share of the client's time and the planner's share of the server's are each
several times the work; ``python -m bench.statements`` shows it. They are part of whatever transaction SQLAlchemy has
on the same connection.
"""

import re
import time
from functools import cache
from typing import Any, cast

import psycopg2
from psycopg2 import extensions
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.stores.faults import Fault, judge

# A plan that was made for small tables must not be kept while they grow. On the surface PREPARE promises to plan once
# and for all; but a table that was empty is read as a whole by such a plan, and a burst fills it in seconds. Made
# anew every few seconds a plan costs nothing to speak of, and is wrong for no longer than that.
PLANS_SECONDS = 5.0

SIGNATURE = re.compile(r"\s*PREPARE (?P<name>\w+) \((?P<types>[^)]*)\) AS\b")


class Prepared:
    """Runs ``PREPARE name (type, ...) AS ...`` on one connection: prepared when it is first asked for.

    Making one sends nothing.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.driver = cast(Any, connection.connection.driver_connection)  # psycopg2's
        self._cursor = self.driver.cursor(cursor_factory=extensions.cursor)
        # Both as long as the connection to Postgres
        self._known: set[str] = connection.info.setdefault("prepared", set())

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What it returns. Errors are SQLAlchemy's: DBAPIError, and a connection that died leaves the pool."""
        name, call = _call(statement)
        if not self.driver.autocommit and not self.connection.in_transaction():
            self.connection.begin()  # as SQLAlchemy does for a statement of its own, or its commit() would do nothing
        try:
            self._discard_old_plans()
            if name not in self._known:
                self._cursor.execute(statement)
                self._known.add(name)
            self._cursor.execute(call, parameters)
            return self._cursor.fetchall() if self._cursor.description else []
        except psycopg2.Error as error:
            raise self._raised(name, error) from error

    def _discard_old_plans(self) -> None:
        now = time.monotonic()
        if now - self.connection.info.setdefault("planned_at", now) > PLANS_SECONDS:
            self._cursor.execute("DISCARD PLANS")
            self.connection.info["planned_at"] = now

    def _raised(self, name: str, error: psycopg2.Error) -> DBAPIError:
        """SQLAlchemy's error for psycopg2's. A connection that is of no more use leaves the pool, with all others."""
        useless = bool(self.driver.closed) or judge(error) is Fault.CONNECTION
        if useless:
            self.connection.invalidate(error)
            self.connection.engine.dispose()
        return cast(
            DBAPIError,
            DBAPIError.instance(name, None, error, psycopg2.Error, connection_invalidated=useless),
        )


@cache
def _call(statement: str) -> tuple[str, str]:
    """Its name, and how it is called with psycopg2's parameters."""
    signature = SIGNATURE.match(statement)
    if signature is None:
        raise ValueError(f"not PREPARE name (types) AS ...: {statement[:80]}")
    places = ", ".join("%s" for _ in signature["types"].split(","))
    return signature["name"], f"EXECUTE {signature['name']} ({places})"
