"""A client that nobody knows yet cannot hold a connection for ever, nor fill the memory with headers."""

import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import uvicorn

from app.web import http_guard, parking
from app.web.http_guard import GuardedProtocol

PATIENCE_SECONDS = 20
SHORT_SECONDS = 0.2
POST = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 3\r\n\r\n"


async def echo(_: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(autouse=True)
def closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PARK_SECONDS", 0)


@pytest.fixture
def port() -> Iterator[int]:
    config = uvicorn.Config(
        echo,
        port=0,
        http=GuardedProtocol,
        loop="app.web.event_loop:Loop",
        ws="none",
        lifespan="off",
        log_level="error",
    )
    server = uvicorn.Server(config)
    started = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, kwargs={"sockets": [started]})
    port: int = started.getsockname()[1]
    thread.start()
    yield port
    server.should_exit = True
    thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "REQUEST_SECONDS", SHORT_SECONDS)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def send_without_end(client: socket.socket) -> None:
    while True:
        client.sendall(POST * 1_000)


def until_closed(client: socket.socket) -> bytes:
    received = b""
    try:
        while part := client.recv(65_536):
            received += part
    except ConnectionResetError:  # closed before all that was sent had been read
        pass
    return received


@pytest.mark.parametrize(
    "beginning", [b"P", b"POST / HTTP/1.1\r\nhost: he", POST + b"ab", POST + b"abc" + POST[:30]],
    ids=["a letter", "half of the headers", "half of the body", "half of a second request"],
)  # fmt: skip
def test_a_request_that_does_not_come_whole_ends_the_connection(
    port: int, impatient: None, beginning: bytes
) -> None:
    with connect(port) as client:
        client.sendall(beginning)
        answer = until_closed(client)
    assert answer.count(b"HTTP/1.1 200 OK") == beginning.count(b"abc")
    assert answer.count(b"HTTP/1.1 408 Request Timeout") == 1


def test_a_connection_that_was_opened_before_it_is_needed_is_kept_as_any_idle_one(
    port: int, impatient: None
) -> None:
    with connect(port) as client, connect(port) as never_used:
        client.settimeout(2 * SHORT_SECONDS)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE_SECONDS)
        client.sendall(POST + b"abc")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        assert until_closed(never_used) == b""  # after uvicorn's own time for idle connections, 5 s


def test_a_connection_between_two_requests_is_not_hurried(port: int, impatient: None) -> None:
    with connect(port) as client:
        for _ in range(2):
            client.sendall(POST[:20])
            client.sendall(POST[20:] + b"ab")
            client.sendall(b"c")
            answer = b""
            while not answer.endswith(b"abc"):
                answer += client.recv(65_536)
            client.settimeout(2 * SHORT_SECONDS)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(PATIENCE_SECONDS)


def test_headers_without_end_are_refused(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\n")
        sent = 0
        try:
            while sent < 1_000 * http_guard.HEAD_BYTES:
                sent += client.send(b"x-more: " + b"x" * 1_000 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail(f"{sent} bytes of headers were taken")


def test_headers_that_are_too_large_are_told_so(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nx-more: " + b"x" * http_guard.HEAD_BYTES)
        assert until_closed(client).startswith(b"HTTP/1.1 431 Request Header Fields Too Large")


def test_what_is_not_http_is_told_so(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"EHLO here\r\n\r\n")
        assert until_closed(client).startswith(b"HTTP/1.1 400")


def test_a_request_for_another_protocol_is_refused_rather_than_taken_without_its_body(port: int) -> None:
    with connect(port) as client:
        client.sendall(POST.replace(b"\r\n\r\n", b"\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n") + b"abc")
        assert until_closed(client).startswith(b"HTTP/1.1 400")


def test_a_proxy_that_always_says_upgrade_but_not_to_what_is_served(port: int) -> None:
    """As nginx does with the lines that are copied for WebSockets."""
    with connect(port) as client:
        client.sendall(POST.replace(b"\r\n\r\n", b"\r\nconnection: upgrade\r\n\r\n") + b"abc")
        answer = b""
        while not answer.endswith(b"abc"):
            answer += client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200")


def test_requests_in_one_packet_are_answered_in_turn(port: int) -> None:
    with connect(port) as client:
        client.sendall((POST + b"abc") * 3)
        answer = b""
        while answer.count(b"abc") < 3:
            answer += client.recv(65_536)
    assert answer.count(b"HTTP/1.1 200") == 3


def test_who_is_refused_is_answered_at_once_and_closed_later(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attacker who waits for the end before the next try has to wait."""
    monkeypatch.setattr(parking, "PARK_SECONDS", 60)
    with connect(port) as client:
        client.sendall(b"EHLO here\r\n\r\n")
        answer = client.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"connection: close" in answer
        client.settimeout(SHORT_SECONDS)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_what_a_refused_client_sends_is_read_no_more(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PARK_SECONDS", 60)
    with connect(port) as client:
        client.sendall(b"EHLO here\r\n\r\n")
        client.recv(65_536)
        client.settimeout(SHORT_SECONDS)
        with pytest.raises(TimeoutError):
            send_without_end(client)


def test_parked_connections_are_closed_in_their_turn(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PARK_SECONDS", SHORT_SECONDS)
    with connect(port) as client:
        client.sendall(b"EHLO here\r\n\r\n")
        assert until_closed(client).startswith(b"HTTP/1.1 400")
