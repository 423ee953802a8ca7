"""Read the jobs that wait for a time of their own: of their next attempt, or the one that a slow retry gave them.

They are few beside the others: each query begins in the index ``jobs_due``, which holds only them.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from app.views.filter import Filter, Order
from app.views.listing import Listing

IS_HELD = "e.state = 'pending' AND e.due_at IS NOT NULL AND e.error IS NOT NULL"
# The attempts of a job are numbered: the last is one step in the primary key
FAILED_AT = """coalesce(
  (SELECT a.finished_at FROM past_attempts a WHERE a.job_id = e.id AND a.number = e.attempts), e.accepted_at)"""
LISTING = Listing("event_jobs", IS_HELD, FAILED_AT)

FIND = f"""
SELECT e.id, e.event_id, e.key, e.kind, e.type, e.lane, e.conversation_id, c.key AS conversation,
       (SELECT name FROM lane_names n WHERE n.id = e.lane_name_id) AS lane_name, e.handler, e.error,
       e.attempts - e.attempts_at_retry AS attempts, {FAILED_AT} AS failed_at, e.due_at, e.holds AS blocks_lane,
       (SELECT count(*) FROM jobs w WHERE w.lane = e.lane) AS waiting, e.payload
FROM event_jobs e LEFT JOIN conversations c ON c.id = e.conversation_id
WHERE {IS_HELD} {{conditions}}
ORDER BY {{sorted_by}}, e.id LIMIT :limit
"""  # noqa: S608  (constants)

# The query's own columns, by the name that a page sorts by
SORTED_BY = {
    "due": "due_at",
    "failed": "failed_at",
    "attempts": "attempts",
    "waiting": "waiting",
    "error": "error",
    "conversation": "conversation",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A job that waits for its next attempt."""

    id: int
    event_id: int
    key: str
    kind: str
    type: str
    lane: int
    conversation_id: int
    conversation: str | None
    lane_name: str
    handler: str | None
    error: str  # of its last attempt
    attempts: int  # since the last retry by a person
    failed_at: datetime  # its last attempt
    due_at: datetime
    blocks_lane: bool  # whether the later jobs of its lane wait for it
    waiting: int  # jobs of its lane, itself among them
    payload: str


def find(connection: Connection, filter_: Filter, limit: int | None = None) -> list[Held]:
    """Return held jobs, the first that is due first."""
    conditions, parameters = filter_.where(FAILED_AT)
    statement = text(FIND.format(conditions=conditions, sorted_by=SORTED_BY["due"] + " ASC"))
    rows = connection.execute(statement, {**parameters, "limit": limit}).mappings()
    return [Held(**row) for row in rows]


def table(connection: Connection, sort: str, order: Order, limit: int) -> tuple[list[Held], int]:
    """Return the first ``limit`` held jobs by one of SORTED_BY, and how many there are."""
    direction = "ASC" if order == "ascending" else "DESC"
    statement = text(FIND.format(conditions="", sorted_by=f"{SORTED_BY[sort]} {direction}"))
    held = [Held(**row) for row in connection.execute(statement, {"limit": limit}).mappings()]
    return held, len(held) if len(held) < limit else LISTING.count(connection, Filter())
