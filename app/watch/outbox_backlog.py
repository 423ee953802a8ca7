"""The outbox's part of the backlog: what waits to leave, what a person has to decide, which numbers are stopped."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

# Each reads a partial index: sends_holding, sends_undecided
MEASURE = text("""
SELECT
  (SELECT count(*) FROM (
     SELECT FROM sends WHERE holds AND state IN ('queued', 'sending') LIMIT :limit) AS w) AS waiting,
  (SELECT count(*) FROM (SELECT FROM sends WHERE state = 'unknown' LIMIT :limit) AS u) AS unknown,
  (SELECT count(*) FROM (SELECT FROM sends WHERE state = 'dead' LIMIT :limit) AS d) AS dead,
  ARRAY(SELECT number FROM stopped_numbers ORDER BY number) AS stopped
""")


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """How many sends are in which state, and the numbers from which nothing may leave."""

    waiting: int = 0  # queued or on their way
    unknown: int = 0  # a status may settle them yet
    dead: int = 0  # wait for a person
    stopped: tuple[str, ...] = ()


def measure(connection: Connection, limit: int) -> OutboxBacklog:
    """Count, each number up to ``limit``."""
    row = connection.execute(MEASURE, {"limit": limit}).one()
    return OutboxBacklog(row.waiting, row.unknown, row.dead, tuple(row.stopped))
