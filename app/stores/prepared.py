"""Statements that Postgres plans once a connection, sent through psycopg2 itself.

For statements this small, SQLAlchemy's share of the client's time and the planner's share of the server's are each
several times the work; ``python -m bench.statements`` shows it. They are part of whatever transaction SQLAlchemy has
on the same connection.
"""

import re
import time
from functools import cache
from typing import Any, cast

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

# A plan that was made for small tables must not be kept while they grow: for so long at most
PLANS_SECONDS = 5.0

SIGNATURE = re.compile(r"\s*PREPARE (?P<name>\w+) \((?P<types>[^)]*)\) AS\b")


class Prepared:
    """Runs ``PREPARE name (type, ...) AS ...`` on one connection: prepared when it is first asked for."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.driver = cast(Any, connection.connection.driver_connection)  # psycopg2's
        self._cursor = self.driver.cursor()
        # Both as long as the connection to Postgres
        self._known: set[str] = connection.info.setdefault("prepared", set())
        self._forget_old_plans()

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What it returns. Errors are SQLAlchemy's: DBAPIError, and a connection that died leaves the pool."""
        name, call = _call(statement)
        if not self.driver.autocommit and not self.connection.in_transaction():
            self.connection.begin()  # as SQLAlchemy does for a statement of its own, or its commit() would do nothing
        try:
            if name not in self._known:
                self._cursor.execute(statement)
                self._known.add(name)
            self._cursor.execute(call, parameters)
            return self._cursor.fetchall() if self._cursor.description else []
        except psycopg2.Error as error:
            raise self._raised(name, error) from error

    def _forget_old_plans(self) -> None:
        now = time.monotonic()
        if now - self.connection.info.setdefault("planned_at", now) <= PLANS_SECONDS:
            return
        try:
            self._cursor.execute("DISCARD PLANS")
        except psycopg2.Error as error:
            raise self._raised("DISCARD PLANS", error) from error
        self.connection.info["planned_at"] = now

    def _raised(self, name: str, error: psycopg2.Error) -> DBAPIError:
        gone = bool(self.driver.closed)
        if gone:
            self.connection.invalidate(error)
        return cast(
            DBAPIError,
            DBAPIError.instance(name, None, error, psycopg2.Error, connection_invalidated=gone),
        )


@cache
def _call(statement: str) -> tuple[str, str]:
    """Its name, and how it is called with psycopg2's parameters."""
    signature = SIGNATURE.match(statement)
    if signature is None:
        raise ValueError(f"not PREPARE name (types) AS ...: {statement[:80]}")
    places = ", ".join("%s" for _ in signature["types"].split(","))
    return signature["name"], f"EXECUTE {signature['name']} ({places})"
