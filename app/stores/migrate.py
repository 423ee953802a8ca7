"""Bring the tables to the newest schema; safe to run from several releases at once.

From the release before, whose events were their own jobs, in three steps: the new tables with what is unfinished
(one transaction, in which no event is stored or run), then what is finished (in parts, each committed: what was killed
goes on where it was), and, when asked, without what only the release before knows. Its processes may run until then.
"""

from typing import Any, cast

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from app.stores.connections import engine
from config.logging import get_logger

# Postgres advisory lock: the second of two migrations waits, then finds nothing to do
MIGRATION_LOCK = 7_365_001
JOBS = "0010"  # jobs and outcomes exist
MOVED = "0011"  # and every event has one of them
EVENTS_A_PART = 20_000

LAST_PART = text("SELECT up_to, last FROM finished_events_moved")
MOVE = text("SELECT move_finished_events(:after, :up_to)")
MOVED_UP_TO = text("UPDATE finished_events_moved SET up_to = :up_to")

log = get_logger(__name__)


def migrate(*, contract: bool = False) -> bool:
    """Run every migration that has not run yet, for as long as it takes; raises what Postgres raises.

    ``contract``: also those that the release before does not survive. Returns whether these are left to be run; in
    an empty database none are.
    """
    with engine().begin() as connection:
        before = _locked(connection)
        if before is None or before >= MOVED:
            return _upgrade(connection, "head" if before is None or contract or before > MOVED else MOVED)
        if before < JOBS:
            command.upgrade(alembic_config(connection), JOBS)
    while _move_part():
        pass
    with engine().begin() as connection:
        return _upgrade(connection, "head" if contract else MOVED, _locked(connection))


def _upgrade(connection: Connection, revision: str, before: str | None = None) -> bool:
    if before is not None and before > MOVED:  # somebody else was first
        return False
    command.upgrade(alembic_config(connection), revision)
    return revision == MOVED


def _locked(connection: Connection) -> str | None:
    """Wait for other migrations; return the revision of the tables, None if there are none."""
    for limit in ("statement_timeout", "lock_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = 0"))
    cast(Any, connection.connection.driver_connection).max_wait_seconds = None
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    return MigrationContext.configure(connection).get_current_revision()


def _move_part() -> bool:
    """Give some finished events their outcomes; return whether there are more."""
    with engine().begin() as connection:
        if (revision := _locked(connection)) is None or revision >= MOVED:
            return False
        up_to, last = connection.execute(LAST_PART).one()
        if up_to >= last:
            return False
        parameters = {"after": up_to, "up_to": min(up_to + EVENTS_A_PART, last)}
        connection.execute(MOVE, parameters)
        connection.execute(MOVED_UP_TO, parameters)
    log.info("migration.events_moved", up_to=parameters["up_to"], last=last)
    return True


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, without a file, for the given connection."""
    config = Config()
    config.set_main_option("script_location", "app.stores:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
