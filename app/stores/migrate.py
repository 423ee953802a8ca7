"""Bring the tables to the newest schema; safe to run from several releases at once."""

from typing import Any, cast

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from app.stores.connections import engine

# Postgres advisory lock: the second of two migrations waits, then finds nothing to do
MIGRATION_LOCK = 7_365_001


def migrate() -> None:
    """Run every migration that has not run yet, for as long as it takes; raises what Postgres raises."""
    with engine().begin() as connection:
        for limit in ("statement_timeout", "lock_timeout"):
            connection.execute(text(f"SET LOCAL {limit} = 0"))
        cast(Any, connection.connection.driver_connection).max_wait_seconds = None
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, without a file, for the given connection."""
    config = Config()
    config.set_main_option("script_location", "app.stores:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
