"""What a replay would do, before it does it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.handlers import Registry
from app.replays.choice import Choice, pairs
from app.stores import chunks, recordset

EVENTS_AT_ONCE = 500

SENT = text("""
SELECT count(*) FROM sends s
JOIN json_to_recordset(CAST(:pairs AS json)) AS p (event bigint, handler text)
  ON s.event_id = p.event AND s.handler = p.handler
WHERE s.state NOT IN ('dropped', 'cancelled')
""")


@dataclass(frozen=True, slots=True)
class ReplayCounts:
    """How many jobs it would be, by lane name and handler, and how many replies their handlers have sent before."""

    jobs: Counter[tuple[str, str]]
    sends: int


def count(connection: Connection, registry: Registry, choice: Choice, ids: Sequence[int]) -> ReplayCounts:
    """Count the jobs of a replay that is not begun."""
    jobs: Counter[tuple[str, str]] = Counter()
    sends = 0
    for part in chunks(ids, EVENTS_AT_ONCE):
        found = pairs(connection, registry, choice, part)
        jobs.update((pair.handler.lane, pair.handler.name) for pair in found)
        rows = [{"event": pair.event_id, "handler": pair.handler.name} for pair in found]
        sends += connection.execute(SENT, {"pairs": recordset(rows)}).scalar_one() if rows else 0
    return ReplayCounts(jobs, sends)
