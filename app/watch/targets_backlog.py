"""The targets' part of the backlog: what waits to be forwarded, and which targets are stopped."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

# By the index jobs_of_targets
MEASURE = text("""
SELECT
  (SELECT count(*) FROM (SELECT FROM jobs WHERE lane_name_id < 0 LIMIT :limit) AS waiting) AS waiting,
  ARRAY(SELECT name FROM paused_targets WHERE who IS NULL ORDER BY name) AS stopped
""")


@dataclass(frozen=True, slots=True)
class TargetsBacklog:
    """How many jobs of targets are not finished, and the targets that answered that they are gone."""

    waiting: int = 0
    stopped: tuple[str, ...] = ()


def measure(connection: Connection, limit: int) -> TargetsBacklog:
    """Count, up to ``limit``."""
    row = connection.execute(MEASURE, {"limit": limit}).one()
    return TargetsBacklog(row.waiting, tuple(row.stopped))
