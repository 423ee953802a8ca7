"""What the tests of tasks share."""

from typing import Any

import psycopg2
from sqlalchemy.exc import InterfaceError, OperationalError

# ingest


def away(error: Exception) -> Any:
    def fail(*_: Any) -> None:
        raise error

    return fail


POSTGRES_AWAY = [
    OperationalError("SELECT", {}, psycopg2.OperationalError("away")),
    InterfaceError("SELECT", {}, psycopg2.InterfaceError("closed")),
]
