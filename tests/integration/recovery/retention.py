"""Rows of a given age, for the tests of retention."""

from app.recovery.retention import Purged, cutoff, purge
from tests.helpers import factories as f
from tests.helpers.core import Core
from tests.helpers.rows import ago

DAY = 86_400

DAYS = 30

OLD = ago(31 * DAY)

TABLES = (
    "events",
    "jobs",
    "outcomes",
    "job_attempts",
    "dead_letter_actions",
    "deliveries",
    "message_statuses",
    "conversations",
)


def age(core: Core, days: float = 31) -> None:
    """All that is in the tables was done so many days earlier than it was."""
    moved = {
        "events": ("accepted_at",),
        "outcomes": ("finished_at",),
        "deliveries": ("accepted_at", "ingested_at"),
        "dead_letter_actions": ("at",),
        "message_statuses": ("purge_after",),
    }
    for table, columns in moved.items():
        changes = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
        core.execute(f"UPDATE {table} SET {changes}", seconds=days * DAY)


def purged(core: Core, days: int = DAYS) -> Purged:
    total = Purged()
    for deleted in purge(core.engine, cutoff(core.engine, core.redis, days)):
        total += deleted
    return total


def left(core: Core) -> dict[str, int]:
    """How many rows each table has that has any."""
    counts = {table: core.value(f"SELECT count(*) FROM {table}") for table in TABLES}
    return {table: number for table, number in counts.items() if number}


def status_of(core: Core, state: str, number: int = 9) -> None:
    core.ingest(f.body(f.statuses(f.status(state, number=number))))
