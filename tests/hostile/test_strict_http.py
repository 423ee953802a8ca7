"""What two HTTP parsers could read in two ways is refused with 400, whatever its signature; the rest is read in one."""

import re
import socket
from collections.abc import Iterator

import pytest

from tests.hostile.framing import BODY, LAST_POST, POST, REFUSED, request
from tests.hostile.framing_read import CUT, READ, Reading
from tests.hostile.web import Web, exchange, open_web

LEFTOVERS = {
    "of no protocol": b"xyz\r\n\r\n",
    "of chunks": b"0\r\n\r\n",
    "of two readings": request(b"Content-Length: 3"),
}


@pytest.fixture(scope="module")
def opened() -> Iterator[Web]:
    with open_web() as web:
        yield web


@pytest.fixture
def web(opened: Web) -> Web:
    opened.accepted.clear()
    return opened


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


@pytest.mark.parametrize("in_bytes", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_what_has_two_readings_is_refused(web: Web, sent: bytes, in_bytes: bool) -> None:
    assert statuses(exchange(web.port, sent, in_bytes)) == [400]
    assert web.accepted == []


@pytest.mark.parametrize("in_bytes", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("reading", READ.values(), ids=READ)
def test_what_has_one_reading_is_read_so(web: Web, reading: Reading, in_bytes: bool) -> None:
    assert statuses(exchange(web.port, reading.sent, in_bytes)) == list(reading.statuses)
    assert web.accepted == [BODY] * reading.num_accepted


@pytest.mark.parametrize("sent", CUT.values(), ids=CUT)
def test_what_is_not_complete_is_not_read(web: Web, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", web.port)) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert web.accepted == []


@pytest.mark.parametrize("leftover", LEFTOVERS.values(), ids=LEFTOVERS)
def test_a_leftover_ends_the_connection_and_nothing_behind_it_is_read(web: Web, leftover: bytes) -> None:
    answers = statuses(exchange(web.port, POST + leftover + LAST_POST))
    assert answers.count(200) == len(web.accepted) <= 1
