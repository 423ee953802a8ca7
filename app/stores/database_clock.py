"""Postgres's clock, by which all rows are dated."""

from datetime import datetime

from sqlalchemy import Connection, text

NOW = text("SELECT clock_timestamp()")


def database_now(connection: Connection) -> datetime:
    """Return Postgres's time, which does not stand still within a transaction."""
    moment: datetime = connection.execute(NOW).scalar_one()
    return moment
