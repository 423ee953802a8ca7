"""Frees jobs that were to run with the first of their burst, where that is no job any more.

It has expired, was skipped or taken back, or the release before, which knows no bursts, has ended it.
"""

from sqlalchemy import Connection, text

FREE = text("""
UPDATE jobs SET joined_to = NULL, holds = true
WHERE joined_to IS NOT NULL AND joined_to <> id AND NOT EXISTS (SELECT FROM jobs first WHERE first.id = jobs.joined_to)
""")


def free(connection: Connection) -> None:
    """Let them run by themselves; the sweep of lanes wakes theirs."""
    connection.execute(FREE)
