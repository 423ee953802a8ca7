"""A Postgres with all tables, whose data is made once in each process of the test run and copied from then on.

Making a cluster and migrating it takes a second of CPU, a copy a twentieth of that.
"""

import atexit
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from app.dev.processes.children import Records, Running, end
from app.dev.stack.embedded import FORGETFUL, Server, ServerMissingError, free_port, launch, postgres, valkey
from app.stores.migrate import migrate
from tests.helpers import services
from tests.helpers.environment import reset

TEMPLATE = "template_neverdrop"


@contextmanager
def running_services(path: Path) -> Iterator[services.Services]:
    """Valkey and Postgres with their data under ``path``; skips the tests where they cannot run.

    In CI they must run, so there the tests fail.
    """
    try:
        servers = [
            valkey(path / "valkey", services.PASSWORD, port=free_port()),
            migrated_postgres(path / "postgres", FORGETFUL),
        ]
    except ServerMissingError as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
    records = Records.of_this_process(path)
    started: list[Running] = []
    try:
        started.extend(launch(server, records, path) for server in servers)
        yield services.Services(servers[0].url, servers[1].url)
    finally:
        end(started)


def migrated_postgres(directory: Path, options: Mapping[str, str] = {}) -> Server:
    """``embedded.postgres`` with a new ``directory``, whose databases ``postgres`` and TEMPLATE have all tables."""
    subprocess.run(["cp", "-a", _made_once(), directory], check=True)
    return postgres(directory, options)


@cache
def _made_once() -> Path:
    path = services.new_directory()
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    server = postgres(path / "postgres", FORGETFUL)
    running = launch(server, Records.of_this_process(path), path)
    try:
        _make_databases(server.url)
    finally:
        end([running])
    return server.data


def _make_databases(url: str) -> None:
    services.execute(url, f"CREATE DATABASE {TEMPLATE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEVERDROP_ENV", "development")
        patch.setenv("DATABASE_URL", services.database(url, TEMPLATE))
        reset()
        migrate()
        reset()
    services.execute(
        services.database(url, "template1"),
        "DROP DATABASE postgres",
        f"CREATE DATABASE postgres TEMPLATE {TEMPLATE}",
    )
