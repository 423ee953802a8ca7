"""A Valkey and a Postgres of a subject's own, in the durability that is usual for it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
from redis import Redis

from app.dev.processes.children import Records, Running, end, start
from app.dev.stack.embedded import DURABLE, Server, postgres, valkey

PASSWORD = "bench"  # noqa: S105  (on loopback, for the time of a measurement)
START_SECONDS = 60
POLL_SECONDS = 0.02
USUAL: dict[str, str] = {}  # Valkey's defaults: a snapshot now and then, no log of what is written
__all__ = ["DURABLE", "USUAL", "StoreError", "Stores"]


class StoreError(Exception):
    """A store does not start; the text is its log."""


@dataclass(frozen=True)
class Stores:
    """Two servers that run, and a client of each."""

    path: Path
    running: dict[str, Running]
    redis_url: str
    database_url: str
    redis: "Redis"
    connection: Any  # psycopg2's, in autocommit
    ready_at: datetime  # Postgres's own time

    @classmethod
    def start(
        cls,
        path: Path,
        redis_options: Mapping[str, str],
        postgres_options: Mapping[str, str] | None = None,
        *,
        keep: bool = False,
    ) -> "Stores":
        """``keep``: the database is that of the last time; else it is new and empty, as Valkey always is."""
        path.mkdir(parents=True, exist_ok=True)
        for file in (path / "valkey").rglob("*"):
            if file.is_file():
                file.unlink()
        servers = [
            valkey(path / "valkey", PASSWORD, redis_options),
            postgres(path / "postgres", postgres_options or {}),
        ]
        records = Records.of_this_process(path)
        running: dict[str, Running] = {}
        try:
            for server in servers:
                running[server.program.name] = launch(server, records, path)
            if not keep:
                _execute(
                    servers[1].url, "DROP DATABASE IF EXISTS bench WITH (FORCE)", "CREATE DATABASE bench"
                )
            database_url = servers[1].url.replace("/postgres?", "/bench?")
            connection = psycopg2.connect(database_url)
            connection.autocommit = True
            ready_at = _first(connection, "SELECT clock_timestamp()")
        except BaseException:
            end(running.values())
            raise
        redis = Redis.from_url(servers[0].url)
        return cls(path, running, servers[0].url, database_url, redis, connection, ready_at)

    def end(self) -> None:
        self.connection.close()
        self.redis.close()
        end(self.running.values())

    def query(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row; None if there is none."""
        return _first(self.connection, sql, *parameters)

    def run(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Statements, in one transaction."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"BEGIN; {sql}; COMMIT", parameters)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def log(self, name: str) -> Path:
        """What a server has written since its first start."""
        return self.path / f"{name}.log"


def launch(server: Server, records: Records, path: Path) -> Running:
    """Start a server and wait until it answers."""
    log = path / f"{server.program.name}.log"
    with log.open("ab") as output:
        running = start(server.program, records, output)
    try:
        until(lambda: server.answers() or not running.alive, START_SECONDS, server.program.name)
    except BaseException:
        end([running])
        raise
    if not running.alive:
        raise StoreError(log.read_text(errors="replace"))
    return running


def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait for it; TimeoutError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(POLL_SECONDS)


def _first(connection: Any, sql: str, *parameters: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def _execute(url: str, *statements: str) -> None:
    connection: Any = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()
