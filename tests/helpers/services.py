"""Real servers for the tests: started once for each process of the test run, ended with it."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from app.dev.processes.children import Records, Running, end, start
from app.dev.processes.parent_watchdog import watch
from app.dev.stack.embedded import FORGETFUL, Server, ServerMissingError, free_port, postgres, valkey

START_SECONDS = 30
POLL_SECONDS = 0.02
PASSWORD = "valkey-test-password"
TEMPLATE = "template_neverdrop"


@dataclass(frozen=True)
class Services:
    """Where Valkey and Postgres are; ``postgres_url`` names no database of a test."""

    redis_url: str
    postgres_url: str


@contextmanager
def directory() -> Iterator[Path]:
    """A directory with a path short enough for a Unix socket, watched by a watchdog.

    It is not pytest's own: that is closed to other users, and Postgres is another user when root runs it.
    """
    path = Path(tempfile.mkdtemp(prefix="nd-"))
    path.chmod(0o711)
    watchdog = watch(Records.of_this_process(path))
    try:
        yield path
    finally:
        watchdog.stop()
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def running_services(path: Path, postgres_options: Mapping[str, str] = FORGETFUL) -> Iterator[Services]:
    """Valkey and Postgres with their data under ``path``; skips the tests where they cannot run.

    In CI they must run, so there the tests fail.
    """
    try:
        servers = [
            valkey(path / "valkey", PASSWORD, port=free_port()),
            postgres(path / "postgres", postgres_options),
        ]
    except ServerMissingError as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
    records = Records.of_this_process(path)
    started: list[Running] = []
    try:
        started.extend(launch(server, records, path) for server in servers)
        yield Services(servers[0].url, servers[1].url)
    finally:
        end(started)


def launch(server: Server, records: Records, path: Path) -> Running:
    """Start a server and wait until it answers; its log is ``path``/NAME.log."""
    log = path / f"{server.program.name}.log"
    with log.open("ab") as output:
        running = start(server.program, records, output)
    deadline = time.monotonic() + START_SECONDS
    while not server.answers():
        if not running.alive or time.monotonic() > deadline:
            end([running])
            raise RuntimeError(f"{server.program.name} does not answer:\n{log.read_text(errors='replace')}")
        time.sleep(POLL_SECONDS)
    return running


def database(postgres_url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return postgres_url.replace("/postgres?", f"/{name}?")


def execute(postgres_url: str, *statements: str) -> None:
    """Run statements that refuse to be in a transaction, such as CREATE DATABASE."""
    connection: Any = psycopg2.connect(postgres_url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()
