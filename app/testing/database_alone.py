"""The database of a test of handlers alone: SQLite in memory, or what a URL names, rolled back at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event


@contextmanager
def rolled_back(url: str) -> Iterator[Connection]:
    """Yield a connection in a transaction that ends without a trace."""
    engine = _sqlite(url) if url.startswith("sqlite") else create_engine(url)
    try:
        with engine.connect() as connection:
            transaction = connection.begin()
            try:
                yield connection
            finally:
                transaction.rollback()
    finally:
        engine.dispose()


def _sqlite(url: str) -> Engine:
    """SQLAlchemy's recipe for savepoints on SQLite: the driver begins no transaction by itself."""
    engine = create_engine(url, poolclass=StaticPool)

    @event.listens_for(engine, "connect")
    def _connect(driver: Any, _record: Any) -> None:
        driver.isolation_level = None
        for name in ("clock_timestamp", "now"):  # what Postgres calls the time, for defaults of columns
            driver.create_function(name, 0, lambda: datetime.now(UTC).isoformat(" "))

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
