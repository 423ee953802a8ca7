"""Rows for tests that look at the tables, each with only what it says different from an ordinary one."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from app.stores.job_models import JobRow
from app.stores.models import (
    BacklogSample,
    DeadLetterAction,
    Delivery,
    DeliveryState,
    JobState,
    StoredIn,
)
from tests.helpers.jobs import insert_events

numbers = count(1)


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def event(**different: Any) -> dict[str, Any]:
    """A pending text message that was accepted now, in a lane of its own."""
    number = next(numbers)
    now = datetime.now(UTC)
    return {
        "key": f"message:{number}",
        "delivery_id": uuid4(),
        "position": 0,
        "lane": number,
        "occurred_at": now,
        "accepted_at": now,
        "kind": "message",
        "type": "text",
        "payload": "{}",
        "state": JobState.PENDING,
        **different,
    }


def add_events(engine: Engine, count: int = 1, **different: Any) -> list[int]:
    """Insert some; returns their ids."""
    with engine.begin() as connection:
        return insert_events(connection, [event(**different) for _ in range(count)])


def add_stored_delivery(engine: Engine, seconds_old: float = 0) -> UUID:
    """One in the fallback store that waits to be split."""
    with Session(engine) as session:
        row = Delivery(
            id=uuid4(),
            accepted_at=ago(seconds_old),
            stored_in=StoredIn.POSTGRES,
            state=DeliveryState.STORED,
            body=b"{}",
        )
        session.add(row)
        session.commit()
        return row.id


def add_retry(engine: Engine, event_id: int, seconds_old: float) -> None:
    """A person's decision to run a dead letter again."""
    with Session(engine) as session:
        session.add(
            DeadLetterAction(
                event_id=event_id, job_id=event_id, action="retry", who="ada", at=ago(seconds_old)
            )
        )
        session.execute(update(JobRow).where(JobRow.id == event_id).values(since=ago(seconds_old)))
        session.commit()


def add_sample(engine: Engine, size: int, seconds_old: float) -> None:
    with Session(engine) as session:
        session.add(BacklogSample(at=ago(seconds_old), size=size, oldest_seconds=0, dead_letters=0))
        session.commit()
