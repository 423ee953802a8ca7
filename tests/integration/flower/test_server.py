"""What Flower listens on is for this user alone, and clients without a login cannot hold it up."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.flower import server
from app.flower.server import UnsafeSocket, bind_private_socket
from tests.helpers.core import Core
from tests.helpers.flower import Page, flower_page

PATIENCE_SECONDS = 30
SHORT_SECONDS = 0.2
HEAD = b"GET /healthcheck HTTP/1.1\r\nHost: here\r\n"


@pytest.fixture
def page(core: Core) -> Iterator[Page]:
    with flower_page() as opened:
        yield opened


def connect(page: Page) -> socket.socket:
    host, port = page.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)


def send_without_end(client: socket.socket, part: bytes) -> None:
    """Send until the connection breaks; returns when it takes all."""
    for _ in range(1_000_000):
        client.sendall(part)


def until_closed(client: socket.socket) -> bytes:
    received = b""
    try:
        while part := client.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def test_a_head_that_does_not_come_whole_ends_the_connection(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", SHORT_SECONDS)
    with flower_page() as page, connect(page) as client:
        client.sendall(HEAD)
        assert until_closed(client) == b""


def test_a_head_without_end_is_refused(page: Page) -> None:
    with connect(page) as client:
        client.sendall(HEAD)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_without_end(client, b"a:" + b"b" * 1_000 + b"\r\n")


def test_a_client_that_does_not_read_is_cut_off(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN_SECONDS", SHORT_SECONDS)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE_SECONDS)
        host, port = page.url.removeprefix("http://").split(":")
        client.connect((host, int(port)))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_without_end(client, HEAD.replace(b"healthcheck", b"neverdrop/page.js") + b"\r\n")


def test_slow_clients_do_not_keep_others_out(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    slow = [connect(page) for _ in range(60)]
    try:
        for client in slow:
            client.sendall(HEAD)
        assert page.get("/healthcheck").text == "OK"
        assert page.get("/dead-letters").status_code == 200
        assert until_closed(slow[0]) == b""
    finally:
        for client in slow:
            client.close()


def test_a_unix_socket_is_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "flower.sock"
    with bind_private_socket(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_socket_of_a_flower_that_died_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "flower.sock"
    bind_private_socket(str(path)).close()
    with bind_private_socket(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "flower.sock"
    path.write_text("mine")
    with pytest.raises(UnsafeSocket, match="is no socket"):
        bind_private_socket(str(path))
    assert path.read_text() == "mine"


def test_a_link_that_is_planted_is_not_followed(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "flower.sock", tmp_path / "elsewhere"
    path.symlink_to(elsewhere)
    with pytest.raises(UnsafeSocket, match="is no socket"):
        bind_private_socket(str(path))
    assert not elsewhere.exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_directory_where_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chmod(shared, mode)
    with pytest.raises(UnsafeSocket, match="directory of its own"):
        bind_private_socket(str(shared / "flower.sock"))
    assert list(shared.iterdir()) == []


def test_flower_listens_on_its_private_socket(core: Core, tmp_path: Path) -> None:
    path = tmp_path / "flower.sock"
    with flower_page(unix_socket=str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_SECONDS)
            client.connect(str(path))
            client.sendall(HEAD + b"Connection: close\r\n\r\n")
            assert until_closed(client).endswith(b"OK")
