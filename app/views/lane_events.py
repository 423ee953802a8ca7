"""A conversation's events as people see them: in the order in which they run, a row for each job."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

SHOWN = 100

EVENTS = """
SELECT j.id, e.id AS event_id, e.key, e.kind, e.type, j.state::text AS state, j.late,
       (SELECT name FROM lane_names n WHERE n.id = j.lane_name_id) AS lane_name, j.handler, j.error, j.attempts,
       j.due_at,
       e.occurred_at, e.accepted_at, j.finished_at, j.payload, e.delivery_id, e.position
FROM (
  SELECT * FROM events e WHERE e.lane = :lane {before}
  ORDER BY e.occurred_at DESC, e.delivery_id DESC, e.position DESC LIMIT :limit
) AS e JOIN event_jobs j ON j.event_id = e.id
ORDER BY e.occurred_at DESC, e.delivery_id DESC, e.position DESC, j.id DESC
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
    id: int  # of its job
    event_id: int
    key: str
    kind: str
    type: str
    state: str
    late: bool
    lane_name: str
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
    """The jobs of the conversation's last events, or of those that come before the event ``before``; in order."""
    statement = LATEST if before is None else BEFORE
    rows = connection.execute(statement, {"lane": lane, "before": before, "limit": limit}).mappings()
    return [LaneEvent(**row) for row in rows][::-1]
