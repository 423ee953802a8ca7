"""The fallback store: put bodies into Postgres, where the sweeper finds them, while Redis cannot take them.

Each call has a deadline, also while Postgres hangs behind an open connection. Only the lookup of the host's name has
none.
"""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from app.stores import (
    STORE_ERRORS,
    Delivery,
    DeliveryState,
    Fault,
    StoredIn,
    accepted_at,
    delivery_id,
    judge,
    postgres_wait,
    web_engine,
)

WRITE_SECONDS = 2.5  # for both tries
POOLED_SECONDS = 1.0  # for the first try, on a pooled connection that may be dead
ANSWER_SECONDS = 1.0
NS_PER_US = 1_000
NUM_CLOCK_READINGS = 3  # the fastest answer is the most precise, and the first one is the slowest

NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")


def write(deliveries: Sequence[tuple[str, bytes]]) -> None:
    """Commit all ``deliveries`` (id, body) in one statement; raise SQLAlchemyError when that fails."""
    rows = [
        {
            "id": UUID(id_),
            "accepted_at": accepted_at(id_),
            "stored_in": StoredIn.POSTGRES,
            "state": DeliveryState.STORED,
            "body": body,
        }
        for id_, body in deliveries
    ]
    statement = insert(Delivery).values(rows).on_conflict_do_nothing()
    began = time.monotonic()
    try:
        _execute(statement, began + POOLED_SECONDS)
    except STORE_ERRORS as error:
        if judge(error) not in (Fault.CONNECTION, Fault.AGAIN):
            raise
        _execute(statement, began + WRITE_SECONDS)


def sync_clock() -> None:
    """Let delivery ids follow Postgres's clock: for a process that has not reached Redis yet.

    Raises SQLAlchemyError when Postgres does not answer.
    """
    with postgres_wait.until(time.monotonic() + ANSWER_SECONDS), web_engine().connect() as connection:
        for _ in range(NUM_CLOCK_READINGS):
            asked = delivery_id.local_ns()
            microseconds: int = connection.execute(NOW).scalar_one()
            delivery_id.ids.sync_clock(microseconds * NS_PER_US, asked, delivery_id.local_ns())


def ping() -> None:
    """Raise SQLAlchemyError when Postgres does not answer in time."""
    _execute(text("SELECT 1"), time.monotonic() + ANSWER_SECONDS)


def _execute(statement: Any, deadline: float) -> None:
    with postgres_wait.until(deadline), web_engine().connect() as connection:
        connection.execute(statement)
