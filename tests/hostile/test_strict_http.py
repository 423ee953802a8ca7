"""What two HTTP parsers could read in two ways is refused with 400, whatever its signature."""

from collections.abc import Iterator

import pytest

from tests.helpers.factories import APP_SECRET, Signed, signed
from tests.hostile.web import Web, exchange, open_web

BODY = b'{"object":"whatsapp_business_account","entry":[]}'
POSTED: Signed = signed(BODY, APP_SECRET)
SIGNATURE = b"X-Hub-Signature-256: " + POSTED.headers["X-Hub-Signature-256"].encode()
LENGTH = b"Content-Length: %d" % len(BODY)
HOST = b"Host: here"
CHUNKS = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)

REFUSED = {
    "two hosts": (HOST, HOST, LENGTH, SIGNATURE),
    "two different hosts": (HOST, b"Host: there", LENGTH, SIGNATURE),
    "no host": (LENGTH, SIGNATURE),
    "an empty host": (b"Host:", LENGTH, SIGNATURE),
    "a host with a comma": (b"Host: here, there", LENGTH, SIGNATURE),
    "a host with a user": (b"Host: me@here", LENGTH, SIGNATURE),
    "a host with an underscore's twin": (HOST, b"X_Hub_Signature_256: x", LENGTH, SIGNATURE),
    "the signature with underscores": (HOST, LENGTH, SIGNATURE.replace(b"-", b"_", 4)),
    "a length with an underscore": (HOST, b"Content_Length: 3", LENGTH, SIGNATURE),
    "an encoding with an underscore": (HOST, b"Transfer_Encoding: chunked", LENGTH, SIGNATURE),
    "two signatures": (HOST, LENGTH, SIGNATURE, SIGNATURE),
    "two lengths": (HOST, LENGTH, LENGTH, SIGNATURE),
    "two different lengths": (HOST, LENGTH, b"Content-Length: 3", SIGNATURE),
    "a list of lengths": (HOST, b"Content-Length: %d, %d" % (len(BODY), len(BODY)), SIGNATURE),
    "a signed length": (HOST, b"Content-Length: +%d" % len(BODY), SIGNATURE),
    "a negative length": (HOST, b"Content-Length: -1", SIGNATURE),
    "a length in hexadecimal": (HOST, b"Content-Length: 0x31", SIGNATURE),
    "a length that is no number": (HOST, b"Content-Length: many", SIGNATURE),
    "an empty length": (HOST, b"Content-Length:", SIGNATURE),
    "a length beyond 64 bits": (HOST, b"Content-Length: 99999999999999999999", SIGNATURE),
    "length and encoding": (HOST, LENGTH, b"Transfer-Encoding: chunked", SIGNATURE),
    "encoding and length": (HOST, b"Transfer-Encoding: chunked", LENGTH, SIGNATURE),
    "gzip, chunked": (HOST, b"Transfer-Encoding: gzip, chunked", SIGNATURE),
    "chunked, gzip": (HOST, b"Transfer-Encoding: chunked, gzip", SIGNATURE),
    "chunked twice in one": (HOST, b"Transfer-Encoding: chunked, chunked", SIGNATURE),
    "chunked twice": (HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", SIGNATURE),
    "identity": (HOST, b"Transfer-Encoding: identity", SIGNATURE),
    "xchunked": (HOST, b"Transfer-Encoding: xchunked", SIGNATURE),
    "chunked in quotes": (HOST, b'Transfer-Encoding: "chunked"', SIGNATURE),
    "chunked with a parameter": (HOST, b"Transfer-Encoding: chunked;x=1", SIGNATURE),
    "chunked behind a vertical tab": (HOST, b"Transfer-Encoding: \x0bchunked", SIGNATURE),
    "a blank before the colon": (HOST, LENGTH, b"X-A : b", SIGNATURE),
    "a blank before the length's colon": (HOST, b"Content-Length : 3", SIGNATURE),
    "a folded header": (HOST, LENGTH, b"X-A: b\r\n c", SIGNATURE),
    "a folded first header": (b" X-A: b", HOST, LENGTH, SIGNATURE),
    "a header without a colon": (HOST, LENGTH, b"X-A", SIGNATURE),
    "a header without a name": (HOST, LENGTH, b": b", SIGNATURE),
    "a NUL in a value": (HOST, LENGTH, b"X-A: b\0c", SIGNATURE),
    "a NUL in a name": (HOST, LENGTH, b"X\0A: b", SIGNATURE),
    "a lone CR in a value": (HOST, LENGTH, b"X-A: b\rContent-Length: 3", SIGNATURE),
    "an upgrade": (HOST, LENGTH, b"Connection: upgrade", b"Upgrade: h2c", SIGNATURE),
}
REFUSED_LINES = {
    "an absolute target": b"POST http://there/webhook HTTP/1.1",
    "an authority": b"POST there:80 HTTP/1.1",
    "a fragment": b"POST /webhook#there HTTP/1.1",
    "no version": b"POST /webhook",
    "HTTP/1.2": b"POST /webhook HTTP/1.2",
    "HTTP/2.0": b"POST /webhook HTTP/2.0",
    "HTTP/0.9": b"POST /webhook HTTP/0.9",
    "a version in lower case": b"POST /webhook http/1.1",
    "two blanks": b"POST /webhook  HTTP/1.1x",
    "a method in lower case": b"post /webhook HTTP/1.1",
    "a method nobody knows": b"PST /webhook HTTP/1.1",
    "a NUL in the target": b"POST /web\0hook HTTP/1.1",
    "a tab after the method": b"POST\t/webhook HTTP/1.1",
}
REFUSED_BODIES = {
    "a signature in a trailer": (HOST, b"%b%b\r\n\r\n" % (CHUNKS, SIGNATURE)),
    "any trailer": (HOST, SIGNATURE, b"%bX-A: b\r\n\r\n" % CHUNKS),
    "a size that is no number": (HOST, SIGNATURE, b"xyz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size with a sign": (HOST, SIGNATURE, b"+31\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size with 0x": (HOST, SIGNATURE, b"0x31\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a size beyond 64 bits": (HOST, SIGNATURE, b"fffffffffffffffff\r\n" + BODY),
    "an empty size": (HOST, SIGNATURE, b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk without its end": (HOST, SIGNATURE, b"%x\r\n%bX\r\n0\r\n\r\n" % (len(BODY), BODY)),
}


@pytest.fixture(scope="module")
def opened() -> Iterator[Web]:
    with open_web() as web:
        yield web


@pytest.fixture
def web(opened: Web) -> Web:
    opened.accepted.clear()
    return opened


def request(*headers: bytes, line: bytes = b"POST /webhook HTTP/1.1", body: bytes = BODY) -> bytes:
    return b"\r\n".join((line, *headers, b"", body))


def status(answer: bytes) -> bytes:
    return answer[9:12]


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_headers_of_two_readings_are_refused(web: Web, headers: tuple[bytes, ...]) -> None:
    assert status(exchange(web.port, request(*headers))) == b"400"
    assert web.accepted == []


@pytest.mark.parametrize("line", REFUSED_LINES.values(), ids=REFUSED_LINES)
def test_request_lines_of_two_readings_are_refused(web: Web, line: bytes) -> None:
    assert status(exchange(web.port, request(HOST, LENGTH, SIGNATURE, line=line))) == b"400"
    assert web.accepted == []


@pytest.mark.parametrize("parts", REFUSED_BODIES.values(), ids=REFUSED_BODIES)
def test_chunked_bodies_of_two_readings_are_refused(web: Web, parts: tuple[bytes, ...]) -> None:
    *headers, body = parts
    sent = request(*headers, b"Transfer-Encoding: chunked", body=body)
    assert status(exchange(web.port, sent)) == b"400"
    assert web.accepted == []


@pytest.mark.parametrize(
    "sent",
    [
        request(HOST, LENGTH, SIGNATURE, b"Connection: close"),
        request(HOST, SIGNATURE, b"Transfer-Encoding: Chunked", b"Connection: close", body=CHUNKS + b"\r\n"),
        request(HOST, LENGTH, SIGNATURE, b"X_Request_Id: 7", b"Connection: close"),
        request(LENGTH, SIGNATURE, line=b"POST /webhook HTTP/1.0"),
        request(HOST, LENGTH, SIGNATURE, b"Connection: close", line=b"POST /webhook/?from=meta HTTP/1.1"),
        request(HOST, LENGTH, SIGNATURE, b"Connection: close", line=b"POST //webhook HTTP/1.1"),
    ],
    ids=["a length", "chunks", "a meaningless underscore", "HTTP/1.0", "a slash and a query", "two slashes"],
)
def test_what_has_one_reading_is_served(web: Web, sent: bytes) -> None:
    assert status(exchange(web.port, sent)) == b"200"
    assert web.accepted == [BODY]


@pytest.mark.parametrize("path", [b"/WEBHOOK", b"/webhook//", b"/webhook/x", b"/x/../webhook"])
def test_other_paths_are_not_the_webhook(web: Web, path: bytes) -> None:
    sent = request(HOST, LENGTH, SIGNATURE, b"Connection: close", line=b"POST %b HTTP/1.1" % path)
    assert status(exchange(web.port, sent)) in (b"404", b"308")
    assert web.accepted == []
