"""Read what became of the dead letters that people decided about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

EDITS = text("""
SELECT at, who, reason, payload FROM dead_letter_actions WHERE job_id = :id AND action = 'edit' ORDER BY id
""")
STATES = text("""
SELECT id, state::text AS state, attempts - attempts_at_retry AS tries FROM event_jobs WHERE id = ANY(:ids)
""")
RETRIED = text("""
SELECT e.state::text AS state, count(*) AS events
FROM (
  SELECT DISTINCT job_id FROM dead_letter_actions WHERE action = 'retry' AND who = :who AND at >= :since
) AS retried JOIN event_jobs e ON e.id = retried.job_id
GROUP BY 1
""")


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job's state now, and its attempts since the last retry by a person."""

    state: str
    tries: int


def edits(connection: Connection, job_id: int) -> list[dict[str, Any]]:
    """Return each edit of the job's payload, oldest first: at, who, reason, and the payload before it."""
    return [dict(row) for row in connection.execute(EDITS, {"id": job_id}).mappings()]


def progress(connection: Connection, job_ids: Sequence[int]) -> dict[int, JobProgress]:
    """Return how far each of these jobs is; those that do not exist are left out."""
    rows = connection.execute(STATES, {"ids": list(job_ids)})
    return {row.id: JobProgress(row.state, row.tries) for row in rows}


def retried_states(connection: Connection, who: str, since: datetime) -> dict[str, int]:
    """Return how many of the jobs that ``who`` retried since then are in each state now."""
    return {row.state: row.events for row in connection.execute(RETRIED, {"who": who, "since": since})}
