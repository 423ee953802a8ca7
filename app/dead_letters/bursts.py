"""What is decided about one job of a burst is decided about all of it: they were one attempt."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

MEMBERS = text("""
SELECT DISTINCT m.job_id FROM joined_jobs j JOIN joined_jobs m ON m.leader = j.leader WHERE j.job_id = ANY(:ids)
""")
# One whose first is no job any more runs by itself. The first alone is looked at
REJOIN = text("""
UPDATE jobs SET joined_to = j.leader, holds = holds AND id = j.leader, due_at = CASE WHEN id = j.leader THEN due_at END
FROM joined_jobs j
WHERE j.job_id = jobs.id AND jobs.id = ANY(:ids) AND jobs.joined_to IS NULL
  AND EXISTS (SELECT FROM jobs leader WHERE leader.id = j.leader)
""")


def with_members(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Return the jobs with all others of their bursts."""
    members = connection.execute(MEMBERS, {"ids": list(ids)}).scalars()
    return list(dict.fromkeys([*ids, *sorted(members)]))


def rejoin(connection: Connection, ids: Sequence[int]) -> None:
    """Have jobs that are pending again run in the bursts that they were run in."""
    connection.execute(REJOIN, {"ids": list(ids)})
