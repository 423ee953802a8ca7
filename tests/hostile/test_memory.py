"""What clients without a signature send, or do not read, takes a bounded share of memory and ends in time."""

import socket
import time
from collections.abc import Iterator

import pytest

from app.web import http_guard
from app.web.http_guard import MAX_PIPELINED, budget
from tests.hostile.attacks import FORGED, HEAD, LARGE_BYTES, PART
from tests.hostile.siege import MAX_RSS_BYTES, besiege
from tests.hostile.web import PATIENCE_SECONDS, Web, exchange, open_web

SIEGE_SECONDS = 8
SIEGE_CONNECTIONS = 700
HONEST_POSTS = 40
GET = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with open_web() as opened:
        yield opened


def connect(web: Web) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=PATIENCE_SECONDS)


def send_without_end(client: socket.socket) -> None:
    """Send requests until the connection breaks; fails when it takes them all."""
    for _ in range(1_000_000):
        client.sendall(GET)


def wait_until_held(num_bytes: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while budget.num_bytes != num_bytes:
        assert time.monotonic() < deadline, budget.num_bytes
        time.sleep(0.01)


def test_so_many_requests_may_wait_on_a_connection(web: Web) -> None:
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = exchange(web.port, GET * MAX_PIPELINED + last)
    assert answers.count(b"HTTP/1.1 200") == MAX_PIPELINED + 1


def test_more_end_the_connection(web: Web) -> None:
    answers = exchange(web.port, GET * 10 * MAX_PIPELINED)
    assert answers.count(b"HTTP/1.1") <= MAX_PIPELINED + 1


def test_a_client_that_does_not_read_is_cut_off(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "DRAIN_SECONDS", 0.5)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE_SECONDS)
        client.connect(("127.0.0.1", web.port))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_without_end(client)


@pytest.mark.parametrize(
    "request_", [b"GET /x HTTP/1.1\r\nHost: here\r\n\r\n", HEAD + FORGED + b"Content-Length: 2\r\n\r\n{}"],
    ids=["what there is not", "an unsigned post"],
)  # fmt: skip
def test_a_refusal_ends_the_connection(web: Web, request_: bytes) -> None:
    assert exchange(web.port, request_ * 3).count(b"HTTP/1.1") == 1


def test_a_body_that_comes_too_slowly_ends_the_connection(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "RATE_GRACE_SECONDS", 0.5)
    with connect(web) as client:
        client.sendall(HEAD + FORGED + b"Content-Length: 1000\r\n\r\nx")
        assert client.recv(65_536).startswith(b"HTTP/1.1 408")


def test_a_body_counts_until_its_signature_is_known(web: Web) -> None:
    with connect(web) as client:
        client.sendall(HEAD + FORGED + b"Content-Length: %d\r\n\r\n" % (len(PART) + 1) + PART)
        wait_until_held(len(PART))
        client.sendall(b"x")
        assert client.recv(65_536).startswith(b"HTTP/1.1 401")
        wait_until_held(0)


def test_a_body_of_a_client_that_went_away_counts_no_more(web: Web) -> None:
    with connect(web) as client:
        client.sendall(HEAD + FORGED + b"Content-Length: %d\r\n\r\n" % LARGE_BYTES + PART)
        wait_until_held(len(PART))
    wait_until_held(0)


def test_all_attacks_at_once_take_a_bounded_memory_and_honest_posts_are_stored() -> None:
    report = besiege(SIEGE_CONNECTIONS, SIEGE_SECONDS, HONEST_POSTS)
    assert report.rss_bytes < MAX_RSS_BYTES, str(report)
    assert report.stored >= HONEST_POSTS, str(report)  # what is evicted with an attacker Meta sends again
