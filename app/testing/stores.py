"""Valkey and Postgres for tests, from the wheels: one of each for a test run, a database for each test."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import extensions

from app.dev.processes import Records, Running, end, watch
from app.dev.stack import DURABLE, FORGETFUL, launch, postgres, valkey
from app.stores import connections, migrate
from config.settings import settings

PASSWORD = "testing"  # noqa: S105  (of a server that only this user reaches)
TEMPLATE = "template_neverdrop"


@dataclass(slots=True)
class BotStores:
    """Where the servers are. ``copy`` makes a database like another one, by default a migrated one without rows."""

    redis_url: str
    postgres_url: str  # of no database of a test
    template: str = TEMPLATE
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def url_of(self, database: str) -> str:
        return self.postgres_url.replace("/postgres?", f"/{database}?")

    def copy(self, template: str = TEMPLATE) -> str:
        """Return the name of a new database. Nobody may be connected to the one that is copied."""
        name = f"bot_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, database: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        driver: extensions.connection = psycopg2.connect(self.postgres_url)
        try:
            driver.autocommit = True  # the statement refuses to be in a transaction
            with driver.cursor() as cursor:
                cursor.execute(statement)
        finally:
            driver.close()


@contextmanager
def running_stores() -> Iterator[BotStores]:
    """Start both servers in a directory that is deleted afterwards; a watchdog ends them if this process is killed."""
    path = Path(tempfile.mkdtemp(prefix="nd-"))  # pytest's own is closed to the user that Postgres runs as
    path.chmod(0o711)
    records = Records.of_this_process(path)
    watchdog = watch(records)
    started: list[Running] = []
    try:
        servers = (valkey(path / "valkey", PASSWORD, DURABLE), postgres(path / "postgres", FORGETFUL))
        started += [launch(server, records, path) for server in servers]
        stores = BotStores(servers[0].url, servers[1].url)
        _make_template(stores)
        yield stores
    finally:
        end(started)
        watchdog.stop()
        shutil.rmtree(path, ignore_errors=True)


def _make_template(stores: BotStores) -> None:
    stores._execute(f"CREATE DATABASE {TEMPLATE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEVERDROP_ENV", "development")
        patch.setenv("REDIS_URL", stores.redis_url)
        patch.setenv("DATABASE_URL", stores.url_of(TEMPLATE))
        settings.cache_clear()
        connections.reset()
        migrate()
        connections.engine().dispose()
        connections.reset()
        settings.cache_clear()
