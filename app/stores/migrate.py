"""Bring the tables to the newest schema; safe to run from several releases at once.

From the release before, whose events were their own jobs, in three steps: the new tables with what is unfinished
(one transaction, in which no event is stored or run), then what is finished (in parts, each committed: what was killed
goes on where it was) with all that later migrations add, and, when asked, without what only the release before knows.
Its processes may run until then.

Alembic is imported where tables are changed: every process imports this module and looks at the revision, few migrate.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, text

from app.errors import NeverdropError
from app.stores.connections import engine
from app.stores.migrations.release_before import CONTRACT, NOT_CONTRACTED
from config.logging import get_logger

if TYPE_CHECKING:
    from alembic.config import Config

# Postgres advisory lock: the second of two migrations waits, then finds nothing to do
MIGRATION_LOCK = 7_365_001
JOBS = "0010"  # jobs and outcomes exist
MOVED = "0011"  # and every event has one of them
EVENTS_A_PART = 20_000
SCRIPT = re.compile(r"(?P<revision>\d{4})_\w+\.py")  # a migration's file, by its revision

LAST_PART = text("SELECT up_to, last FROM finished_events_moved")
MOVE = text("SELECT move_finished_events(:after, :up_to)")
MOVED_UP_TO = text("UPDATE finished_events_moved SET up_to = :up_to")

log = get_logger(__name__)


class NewerSchema(NeverdropError):
    """The tables are those of a later release; the text says what to do."""


def migrate(*, contract: bool = False) -> bool:
    """Run every migration that has not run yet, for as long as it takes; raises what Postgres raises.

    ``contract``: also drop what only the release before needs. Returns whether that is left to be done; in an empty
    database it is done at once.
    """
    from alembic import command

    with engine().begin() as connection:
        before = _locked(connection)
        if before is None or before >= MOVED:
            return _upgrade(connection, contract=contract or before is None)
        if before < JOBS:
            command.upgrade(alembic_config(connection), JOBS)
    while _move_part():
        pass
    with engine().begin() as connection:
        _locked(connection)
        return _upgrade(connection, contract=contract)


def _upgrade(connection: Connection, *, contract: bool) -> bool:
    """Bring the tables to the newest revision; return whether they still have what the release before needs."""
    from alembic import command

    command.upgrade(alembic_config(connection), "head")
    left: bool = connection.execute(NOT_CONTRACTED).scalar_one()
    if left and contract:
        for statement in CONTRACT:
            connection.execute(text(statement))
    return left and not contract


def _locked(connection: Connection) -> str | None:
    """Wait for other migrations; return the revision of the tables, None if there are none."""
    for limit in ("statement_timeout", "lock_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = 0"))
    cast(Any, connection.connection.driver_connection).max_wait_seconds = None
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    revision = _revision(connection)
    if revision is not None and revision not in known_revisions():
        raise NewerSchema(
            f"the database has the schema of a newer release ({revision}): run `neverdrop migrate` of that release, or "
            "restore the backup that was made before its migration. This release's processes may run beside it"
        )
    return revision


@cache
def known_revisions() -> frozenset[str]:
    """Return the revisions that this release has migrations for."""
    files = (Path(__file__).parent / "migrations" / "versions").iterdir()
    return frozenset(found["revision"] for file in files if (found := SCRIPT.fullmatch(file.name)))


def schema_state(connection: Connection) -> str | None:
    """Return what is wrong with the tables of the database; None where they are those of this release."""
    revision = _revision(connection)
    if revision is None:
        return "the database has no tables"
    if revision not in known_revisions():
        return f"the tables are those of a newer release ({revision})"
    newest = max(known_revisions())
    return (
        None if revision == newest else f"the tables are of revision {revision}, this release needs {newest}"
    )


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


def _revision(connection: Connection) -> str | None:
    """Return the revision of the tables, as Alembic wrote it; None if there are none."""
    if connection.execute(text("SELECT to_regclass('alembic_version') IS NULL")).scalar_one():
        return None
    found: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return found


def alembic_config(connection: Connection) -> "Config":
    """Alembic's configuration, without a file, for the given connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "app.stores:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
