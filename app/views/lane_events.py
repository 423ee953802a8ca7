"""A conversation's events as people see them: in the order in which they run, with their states and attempts."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

SHOWN = 100

EVENTS = """
SELECT e.id, e.key, e.kind, e.type, e.state::text AS state, e.late, e.handler, e.error, e.attempts, e.due_at,
       e.occurred_at, e.accepted_at, e.finished_at, e.payload, e.delivery_id, e.position
FROM events e
WHERE e.lane = :lane {before}
ORDER BY e.occurred_at DESC, e.delivery_id DESC, e.position DESC LIMIT :limit
"""
LATEST = text(EVENTS.format(before=""))
BEFORE = text(
    EVENTS.format(
        before="""AND (e.occurred_at, e.delivery_id, e.position) <
         (SELECT b.occurred_at, b.delivery_id, b.position FROM events b WHERE b.id = :before)"""
    )
)


@dataclass(frozen=True, slots=True)
class LaneEvent:
    id: int
    key: str
    kind: str
    type: str
    state: str
    late: bool
    handler: str | None
    error: str | None
    attempts: int
    due_at: datetime | None
    occurred_at: datetime
    accepted_at: datetime
    finished_at: datetime | None
    payload: str
    delivery_id: UUID
    position: int


def events(
    connection: Connection, lane: int, before: int | None = None, limit: int = SHOWN
) -> list[LaneEvent]:
    """The lane's last events, or those that come before the event ``before``; in order."""
    statement = LATEST if before is None else BEFORE
    rows = connection.execute(statement, {"lane": lane, "before": before, "limit": limit}).mappings()
    return [LaneEvent(**row) for row in rows][::-1]
