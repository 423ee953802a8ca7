"""The second door: bodies into Postgres, where the sweeper finds them, when Redis cannot take them.

Bounded in time also where Postgres is stopped behind a connection that is open. What it cannot bound is the
lookup of the host's name.
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
    Door,
    Fault,
    accepted_at,
    delivery_id,
    judge,
    postgres_wait,
    web_engine,
)

WRITE_SECONDS = 2.5  # in total
POOLED_SECONDS = 1.0  # of them for a connection that has been lying open and may be dead
ANSWER_SECONDS = 1.0
NS_PER_US = 1_000
TIMES_ASKED = 3  # the quickest answer tells best, and the first is the slowest

NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")


def write(deliveries: Sequence[tuple[str, bytes]]) -> None:
    """All of ``deliveries`` (id, body) committed in Postgres, in one statement; else SQLAlchemyError."""
    rows = [
        {
            "id": UUID(id_),
            "accepted_at": accepted_at(id_),
            "door": Door.POSTGRES,
            "state": DeliveryState.STORED,
            "body": body,
        }
        for id_, body in deliveries
    ]
    statement = insert(Delivery).values(rows).on_conflict_do_nothing()
    begun = time.monotonic()
    try:
        _execute(statement, begun + POOLED_SECONDS)
    except STORE_ERRORS as error:
        if judge(error) not in (Fault.CONNECTION, Fault.AGAIN):
            raise
        _execute(statement, begun + WRITE_SECONDS)


def sync_clock() -> None:
    """Let ids follow Postgres's clock: for a process that has not reached Redis yet. SQLAlchemyError if it fails."""
    with postgres_wait.until(time.monotonic() + ANSWER_SECONDS), web_engine().connect() as connection:
        for _ in range(TIMES_ASKED):
            asked = delivery_id.local_ns()
            microseconds: int = connection.execute(NOW).scalar_one()
            delivery_id.ids.sync_clock(microseconds * NS_PER_US, asked, delivery_id.local_ns())


def ping() -> None:
    """SQLAlchemyError when Postgres does not answer in time."""
    _execute(text("SELECT 1"), time.monotonic() + ANSWER_SECONDS)


def _execute(statement: Any, deadline: float) -> None:
    with postgres_wait.until(deadline), web_engine().connect() as connection:
        connection.execute(statement)
