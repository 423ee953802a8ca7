"""Replays, the newest first: who began which, when and why, and how far it is."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

SILENT_SECONDS = 60  # without a word of whoever makes its jobs: that process is gone

LIST = text("""
SELECT r.id, r.at, r.who, r.reason, r.chosen, r.events, r.looked_at, r.jobs, r.sends_again, r.stopped_at, r.stopped_by,
  CASE WHEN r.stopped_at IS NOT NULL THEN 'stopped'
       WHEN r.finished_at IS NULL AND r.advanced_at < clock_timestamp() - make_interval(secs => :silent) THEN 'left'
       WHEN r.finished_at IS NULL THEN 'going on'
       WHEN EXISTS (SELECT FROM jobs j WHERE j.replay_id = r.id) THEN 'going on' ELSE 'done' END AS state,
  (SELECT count(*) FROM jobs j WHERE j.replay_id = r.id) AS waiting
FROM (SELECT * FROM replays ORDER BY id DESC LIMIT :at_most) AS r
ORDER BY r.id DESC
""")


@dataclass(frozen=True, slots=True)
class ShownReplay:
    """``state``: going on, done, stopped by a person, or left: the process that made its jobs is gone."""

    id: int
    at: datetime
    who: str
    reason: str | None
    chosen: str  # JSON
    events: int | None  # that match; None for a replay of an earlier release
    looked_at: int  # of these
    jobs: int  # that were made
    sends_again: bool
    stopped_at: datetime | None
    stopped_by: str | None
    state: str
    waiting: int  # jobs that are not finished


def find(connection: Connection, at_most: int) -> list[ShownReplay]:
    """Return the newest replays."""
    rows = connection.execute(LIST, {"at_most": at_most, "silent": SILENT_SECONDS})
    return [ShownReplay(**row) for row in rows.mappings()]
