"""Finding dead letters: filtered, sorted, counted and paged in SQL, so that 100,000 of them stay quick to look at.

Pages go on from the last row that was seen (its value in the sorted column, and its id) and not by a number of rows
to leave out: a page late in the table costs what the first one costs, and a row that is retried meanwhile shifts
nothing.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from app.views.filter import ERROR_CLASS, Filter, Order
from app.views.listing import Listing

MAX_PAYLOAD_CHARACTERS = 20_000  # characters; a page does without longer ones
MAX_FACETS = 50  # values that a filter offers

FIND = """
SELECT e.id, e.event_id, e.key, e.kind, e.type, c.key AS conversation,
       (SELECT name FROM lane_names n WHERE n.id = e.lane_name_id) AS lane_name, e.handler, e.error, e.attempts,
       e.occurred_at,
       e.accepted_at, e.finished_at AS died_at, e.delivery_id, e.payload
FROM dead_jobs e LEFT JOIN conversations c ON c.id = e.conversation_id
WHERE e.state = 'dead'
"""

# Attempts are numbered as they are made: the first that failed is one step in the primary key, for any number of them
FIRST_FAILURE = """
LEFT JOIN LATERAL (
  SELECT a.finished_at FROM past_attempts a WHERE a.job_id = e.id AND a.error IS NOT NULL ORDER BY a.number LIMIT 1
) AS first ON true
"""
# A value that is NULL sorts as an empty text, so that a page can go on from it; what died without an attempt (a body
# that cannot be read) failed first when it died
SORTED_BY = {
    "died": "e.finished_at",
    "first_failed": "coalesce(first.finished_at, e.finished_at)",
    "accepted": "e.accepted_at",
    "attempts": "e.attempts",
    "type": "e.type",
    "handler": "coalesce(e.handler, '')",
    "error": "coalesce(e.error, '')",
    "conversation": "coalesce(c.key, '')",
}
CASTS = {
    "died": "timestamptz",
    "first_failed": "timestamptz",
    "accepted": "timestamptz",
    "attempts": "integer",
}
DIED_AT = "e.finished_at"
LISTING = Listing("dead_jobs", "e.state = 'dead'", DIED_AT)

# The page is chosen by what it is sorted by alone, which an index may hold, and only its own rows are read whole
PAGE = f"""
SELECT e.id, e.event_id, e.key, e.kind, e.type, e.lane, e.conversation_id, c.key AS conversation,
       (SELECT name FROM lane_names n WHERE n.id = e.lane_name_id) AS lane_name, e.handler, e.error, e.attempts,
       e.occurred_at,
       e.accepted_at, e.finished_at AS died_at, first.finished_at AS first_failed_at, page.sorted_by,
       CASE WHEN length(e.payload) <= :shown THEN e.payload END AS payload
FROM (
  SELECT e.id, {{sorted_by}} AS sorted_by
  FROM dead_jobs e LEFT JOIN conversations c ON c.id = e.conversation_id {{joined}}
  WHERE e.state = 'dead' {{conditions}} {{after}}
  ORDER BY sorted_by {{direction}}, e.id {{direction}}
  LIMIT :limit
) AS page JOIN dead_jobs e ON e.id = page.id
LEFT JOIN conversations c ON c.id = e.conversation_id {FIRST_FAILURE}
ORDER BY page.sorted_by {{direction}}, page.id {{direction}}
"""  # noqa: S608  (a constant)
AFTER = "AND ({sorted_by}, e.id) {comparison} (CAST(:after_value AS {cast}), :after_id)"

FACETS = f"""
WITH matching AS (
  SELECT e.type, e.handler, {ERROR_CLASS} AS error_class
  FROM dead_jobs e LEFT JOIN conversations c ON c.id = e.conversation_id WHERE e.state = 'dead' {{conditions}}
)
(SELECT 'type' AS facet, type AS value, count(*) AS count FROM matching GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT :at_most)
UNION ALL
(SELECT 'error_class', error_class, count(*) FROM matching WHERE error_class <> ''
 GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT :at_most)
UNION ALL
(SELECT 'handler', handler, count(*) FROM matching WHERE handler IS NOT NULL
 GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT :at_most)
"""  # noqa: S608  (a constant)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead job, as people see it."""

    id: int
    event_id: int
    key: str
    kind: str
    type: str
    conversation: str | None
    lane_name: str
    handler: str | None
    error: str | None
    attempts: int
    occurred_at: datetime
    accepted_at: datetime
    died_at: datetime
    delivery_id: str
    payload: str


@dataclass(frozen=True, slots=True)
class Row:
    """A dead job in the table, with what a page goes on from."""

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
    error: str | None
    attempts: int
    occurred_at: datetime
    accepted_at: datetime
    died_at: datetime  # its last failure
    first_failed_at: datetime | None
    payload: str | None  # None where it is long
    sorted_by: Any


def find(
    connection: Connection, wanted: Filter, limit: int | None = None, after_id: int = 0
) -> list[DeadLetter]:
    """Dead letters with an id above ``after_id``, oldest first, at most ``limit``."""
    conditions, parameters = wanted.where(DIED_AT)
    statement = text(FIND + conditions + " AND e.id > :after_id ORDER BY e.id LIMIT :limit")
    rows = connection.execute(statement, {**parameters, "after_id": after_id, "limit": limit})
    return [DeadLetter(**{**row, "delivery_id": str(row["delivery_id"])}) for row in rows.mappings()]


def page(
    connection: Connection,
    wanted: Filter,
    sort: str = "died",
    order: Order = "descending",
    after: tuple[Any, int] | None = None,
    limit: int = 50,
) -> list[Row]:
    """A page of the table; ``after`` is the last row's (sorted_by, id) of the page before.

    ``sort`` is one of SORTED_BY, else KeyError.
    """
    conditions, parameters = wanted.where(DIED_AT)
    forward = order == "ascending"
    parts = {
        "sorted_by": SORTED_BY[sort],
        "joined": FIRST_FAILURE if sort == "first_failed" else "",
        "direction": "ASC" if forward else "DESC",
        "conditions": conditions,
    }
    if after is None:
        parts["after"] = ""
    else:
        comparison = {"comparison": ">" if forward else "<", "cast": CASTS.get(sort, "text")}
        parts["after"] = AFTER.format(**parts, **comparison)
        parameters |= {"after_value": after[0], "after_id": after[1]}
    parameters |= {"limit": limit, "shown": MAX_PAYLOAD_CHARACTERS}
    rows = connection.execute(text(PAGE.format(**parts)), parameters)
    return [Row(**row) for row in rows.mappings()]


def facets(connection: Connection, wanted: Filter) -> dict[str, list[tuple[str, int]]]:
    """The types, error classes and handlers among those that match, each with its count, the most first."""
    conditions, parameters = wanted.where(DIED_AT)
    statement = text(FACETS.format(conditions=conditions))
    found: dict[str, list[tuple[str, int]]] = {"type": [], "error_class": [], "handler": []}
    for row in connection.execute(statement, {**parameters, "at_most": MAX_FACETS}).mappings():
        found[row["facet"]].append((row["value"], row["count"]))
    return found


def content(letter: DeadLetter) -> Any:
    """The letter's payload, decoded."""
    return json.loads(letter.payload)
