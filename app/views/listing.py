"""Count jobs that people decide about, and take them by whole lanes."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.views.filter import Filter

COUNT = (
    "SELECT count(*) FROM {listed} e LEFT JOIN conversations c ON c.id = e.conversation_id"
    " WHERE {is_listed} {conditions}"
)
# Whole lanes, so that the jobs of a lane change together and in their order
LANES = """
WITH matching AS (
  SELECT e.id, e.lane, e.occurred_at, e.delivery_id, e.position
  FROM {listed} e LEFT JOIN conversations c ON c.id = e.conversation_id
  WHERE {is_listed} AND e.lane > :after_lane {conditions}
), last AS (
  SELECT max(lane) AS lane FROM (SELECT lane FROM matching ORDER BY lane LIMIT :at_least) AS first
)
SELECT id, matching.lane FROM matching, last WHERE matching.lane <= last.lane
ORDER BY matching.lane, occurred_at, delivery_id, position, id
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """The dead letters, or the held jobs: ``is_listed`` and ``failed_at`` are SQL about a row ``e`` of ``listed``."""

    listed: str  # view
    is_listed: str
    failed_at: str

    def count(self, connection: Connection, filter_: Filter) -> int:
        """Return how many match."""
        conditions, parameters = filter_.where(self.failed_at)
        statement = COUNT.format(listed=self.listed, is_listed=self.is_listed, conditions=conditions)
        return int(connection.execute(text(statement), parameters).scalar_one())

    def whole_lanes(
        self, connection: Connection, filter_: Filter, after_lane: int = 0, at_least: int = 500
    ) -> tuple[list[int], int | None]:
        """Return the numbers of the next lanes' jobs that match, in the order they are to run in, and the last lane.

        At least ``at_least`` ids unless no more are left; then ([], None).
        """
        conditions, parameters = filter_.where(self.failed_at)
        statement = text(LANES.format(listed=self.listed, is_listed=self.is_listed, conditions=conditions))
        parameters |= {"after_lane": after_lane, "at_least": at_least}
        rows = connection.execute(statement, parameters).all()
        return [row.id for row in rows], rows[-1].lane if rows else None
