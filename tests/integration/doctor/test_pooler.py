"""A pooler between Neverdrop and Postgres: PgBouncer itself, in each of the ways in which it may be set up."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest

from app.dev.stack.embedded import free_port
from app.doctor import postgres_store
from app.stores import engine
from config.settings import Settings
from tests.helpers import services

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
REMEDY = "PgBouncer is not installed: apt-get install pgbouncer"
OPTIONS_IGNORED = "ignore_startup_parameters = options"
START_SECONDS = 20


@pytest.fixture
def directory() -> Iterator[Path]:
    if PGBOUNCER is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(REMEDY)
    with services.directory() as path:
        yield path


@pytest.fixture
def pooled(directory: Path, database_url: str) -> Iterator[Callable[[str, str], str]]:
    """Start PgBouncer before the test's database, in this mode and with one more line; its URL."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mode: str, more: str = "") -> str:
        parts = urlsplit(database_url)
        port = free_port()
        file = directory / "pgbouncer.ini"
        file.write_text(
            f"[databases]\n* = host={parse_qs(parts.query)['host'][0]} user=postgres\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {mode}\n{more}\n"
        )
        user = {}
        if os.geteuid() == 0:  # it refuses to run as root; Postgres's socket is open to its own user alone
            owner = Path(parse_qs(parts.query)["host"][0]).stat()
            user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        started.append(subprocess.Popen([str(PGBOUNCER), "-q", str(file)], stderr=subprocess.DEVNULL, **user))
        url = f"postgresql://postgres@127.0.0.1:{port}{parts.path}"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg2.connect(url).close()
            except psycopg2.OperationalError:
                assert started[-1].poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return url

    yield start
    for each in started:
        each.terminate()
        each.wait()


@pytest.mark.parametrize(
    ("mode", "more", "said"),
    [
        ("session", "", "refuses Neverdrop's sessions"),
        ("session", OPTIONS_IGNORED, "leaves out the options"),
        ("transaction", OPTIONS_IGNORED, "gives each transaction another session"),
        ("statement", OPTIONS_IGNORED, "refuses Neverdrop's sessions"),
    ],
)
def test_each_way_in_which_a_pooler_breaks_sessions_is_named(
    pooled: Callable[[str, str], str],
    env: Callable[..., Settings],
    mode: str,
    more: str,
    said: str,
) -> None:
    env(DATABASE_URL=pooled(mode, more))
    found = {each.check: each.what for each in postgres_store.examine(engine())}
    assert said in found["postgres_pooler"]
    assert "database_down" not in found
