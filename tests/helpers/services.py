"""Real servers for the tests: started once for each process of the test run, ended with it."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from app.dev.processes.children import Records
from app.dev.processes.parent_watchdog import watch

PASSWORD = "valkey-test-password"
# Making a database is mostly making files: on a disk it takes five times as long
MEMORY = Path("/dev/shm")
OWNER = re.compile(r"nd-(?P<pid>\d+)-")
MEMORY_BYTES = 2 << 30  # free; in a container there are often 64 MB in all


@dataclass(frozen=True)
class Services:
    """Where Valkey and Postgres are; ``postgres_url`` names no database of a test."""

    redis_url: str
    postgres_url: str


@contextmanager
def directory() -> Iterator[Path]:
    """A directory in memory, with a path short enough for a Unix socket, watched by a watchdog.

    It is not pytest's own: that is closed to other users, and Postgres is another user when root runs it.
    """
    path = new_directory()
    watchdog = watch(Records.of_this_process(path))
    try:
        yield path
    finally:
        watchdog.stop()
        shutil.rmtree(path, ignore_errors=True)


def new_directory() -> Path:
    """A directory as ``directory`` makes it, with no watchdog; whoever asks for it removes it."""
    place = _memory() or Path(tempfile.gettempdir())
    _remove_leftovers(place)
    path = Path(tempfile.mkdtemp(prefix=f"nd-{os.getpid()}-", dir=place))
    path.chmod(0o711)
    return path


@cache
def _remove_leftovers(place: Path) -> None:
    """Remove what killed test runs left there: in memory nobody else does."""
    for path in place.glob("nd-*"):
        owner = OWNER.match(path.name)
        if owner and not psutil.pid_exists(int(owner["pid"])):
            shutil.rmtree(path, ignore_errors=True)


def _memory() -> Path | None:
    """A place in memory; None, which is on a disk, where there is none or too little."""
    try:
        fits = shutil.disk_usage(MEMORY).free > MEMORY_BYTES and os.access(MEMORY, os.W_OK)
    except OSError:
        fits = False
    return MEMORY if fits else None


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
