"""Odd requests that have one reading: what each is answered with, and how many bodies are accepted.

What comes on the connection after the last request of its own is read by nobody.
"""

from typing import NamedTuple

from tests.hostile.framing import (
    BODY,
    CHUNKED,
    CHUNKS,
    CLOSE,
    END,
    HOST,
    LAST_POST,
    LENGTH,
    POST,
    REST,
    SIGNATURE,
    SIZE,
    chunked,
    request,
)  # fmt: skip

HEALTH = b"GET /healthz HTTP/1.1"
KEEP = b"Connection: keep-alive"


class Reading(NamedTuple):
    """What is sent, the statuses that it is answered with, and how often BODY is accepted."""

    sent: bytes
    statuses: tuple[int, ...] = (200,)
    num_accepted: int = 1


def _line(line: bytes, status: int = 200) -> Reading:
    return Reading(request(HOST, LENGTH, SIGNATURE, CLOSE, line=line), (status,), int(status == 200))


def _with(*headers: bytes) -> Reading:
    return Reading(request(HOST, LENGTH, SIGNATURE, *headers, CLOSE))


def _host(host: bytes) -> Reading:
    return Reading(request(b"Host: " + host, LENGTH, SIGNATURE, CLOSE))


def _length(header: bytes) -> Reading:
    return Reading(request(HOST, header, SIGNATURE, CLOSE))


def _encoding(header: bytes) -> Reading:
    return Reading(request(HOST, SIGNATURE, header, CLOSE, body=CHUNKS + END))


def _chunks(body: bytes) -> Reading:
    return Reading(chunked(body, CLOSE))


def _in(line: bytes, *headers: bytes, body: bytes = LAST_POST) -> bytes:
    """A request of this line, whose body is a request."""
    return request(HOST, *headers, line=line, body=body)


INNER_LENGTH = b"Content-Length: %d" % len(LAST_POST)
INNER_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LAST_POST), LAST_POST)

READ: dict[str, Reading] = {
    "a length": _with(),
    "chunks": _encoding(CHUNKED),
    # Request lines
    "HTTP/1.0": Reading(request(LENGTH, SIGNATURE, line=b"POST /webhook HTTP/1.0")),
    "RTSP's name for a version of ours": _line(b"POST /webhook RTSP/1.0"),
    "a slash and a query": _line(b"POST /webhook/?from=meta HTTP/1.1"),
    "an empty query": _line(b"POST /webhook? HTTP/1.1"),
    "two slashes": _line(b"POST //webhook HTTP/1.1"),
    "two blanks before the target": _line(b"POST  /webhook HTTP/1.1"),
    "two blanks after the target": _line(b"POST /webhook  HTTP/1.1"),
    "an encoded letter": _line(b"POST /%77ebhook HTTP/1.1"),
    "an encoded slash": _line(b"POST /webhook%2f HTTP/1.1"),
    "another case": _line(b"POST /WEBHOOK HTTP/1.1", 404),
    "two slashes at the end": _line(b"POST /webhook// HTTP/1.1", 308),
    "three slashes": _line(b"POST ///webhook HTTP/1.1", 404),
    "a path below": _line(b"POST /webhook/x HTTP/1.1", 404),
    "a path that goes up": _line(b"POST /x/../webhook HTTP/1.1", 404),
    "a path that stays": _line(b"POST /./webhook HTTP/1.1", 404),
    "a host in the path": _line(b"POST //there/webhook HTTP/1.1", 404),
    "a parameter of the path": _line(b"POST /webhook;x=y HTTP/1.1", 404),
    "an encoded NUL": _line(b"POST /webhook%00 HTTP/1.1", 404),
    "an encoded line's end": _line(b"POST /webhook%0d%0aX:y HTTP/1.1", 404),
    "TRACE": _line(b"TRACE /webhook HTTP/1.1", 405),
    "PUT": _line(b"PUT /webhook HTTP/1.1", 405),
    "PURGE": _line(b"PURGE /webhook HTTP/1.1", 405),
    "M-SEARCH": _line(b"M-SEARCH /webhook HTTP/1.1", 405),
    # Headers
    "a meaningless underscore": _with(b"X_Request_Id: 7"),
    "an underscore too many": _with(b"Transfer-Encoding_: chunked"),
    "two colons": _with(b"X-A:: b"),
    "an empty value": _with(b"X-A:"),
    "a value beyond ASCII": _with(b"X-A: b\x80"),
    "every character of a name": _with(b"!#$%&'*+-.^`|~: b"),
    "another method in a header": _with(b"X-HTTP-Method-Override: GET"),
    "another path in a header": _with(b"X-Original-URL: /x"),
    "another host in a header": _with(b"Forwarded: host=there"),
    "a content's encoding": _with(b"Content-Encoding: gzip"),
    "an announced trailer": _with(b"Trailer: X-Hub-Signature-256"),
    "an upgrade that the connection does not ask for": _with(b"Upgrade: h2c"),
    "a connection that asks for no upgrade in particular": _with(b"Connection: upgrade"),
    "the length as the connection's own": _with(b"Connection: content-length"),
    "the signature as the connection's own": _with(b"Connection: x-hub-signature-256"),
    "an expectation": Reading(request(HOST, LENGTH, SIGNATURE, b"Expect: 100-continue", CLOSE), (100, 200)),
    "an expectation of HTTP/1.0": Reading(
        request(LENGTH, SIGNATURE, b"Expect: 100-continue", line=b"POST /webhook HTTP/1.0")
    ),
    "an expectation nobody knows": _with(b"Expect: 200-ok"),
    "a host with a port": _host(b"here:80"),
    "a host with an empty port": _host(b"here:"),
    "a host with an underscore": _host(b"web_1:8000"),
    "an address": _host(b"127.0.0.1"),
    "an address of IPv6": _host(b"[::1]:80"),
    # Lengths and encodings
    "a length without a blank": _length(b"Content-Length:%d" % len(BODY)),
    "a length behind a tab": _length(b"Content-Length:\t%d" % len(BODY)),
    "a length behind blanks": _length(b"Content-Length:    %d" % len(BODY)),
    "a length behind a zero": _length(b"Content-Length: 0%d" % len(BODY)),
    "a length behind many zeros": _length(b"Content-Length: %b%d" % (b"0" * 30, len(BODY))),
    "chunked without a blank": _encoding(b"Transfer-Encoding:chunked"),
    "chunked behind a tab": _encoding(b"Transfer-Encoding:\tchunked"),
    "chunked in upper case": _encoding(CHUNKED.upper()),
    # Chunks
    "two chunks": _chunks(b"1\r\n" + BODY[:1] + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 1, BODY[1:])),
    "a size in upper case": _chunks(b"1A\r\n" + BODY[:26] + b"\r\n17\r\n" + BODY[26:] + b"\r\n0\r\n\r\n"),
    "a size in lower case": _chunks(b"1a\r\n" + BODY[:26] + b"\r\n17\r\n" + BODY[26:] + b"\r\n0\r\n\r\n"),
    "a size behind many zeros": _chunks(b"0" * 40 + SIZE + REST),
    "a last chunk of many zeros": _chunks(SIZE + b"\r\n" + BODY + b"\r\n0000\r\n\r\n"),
    "an extension": _chunks(SIZE + b";a=b" + REST),
    "an extension in quotes": _chunks(SIZE + b';a="b;c"' + REST),
    "an extension of the last chunk": _chunks(SIZE + b"\r\n" + BODY + b"\r\n0;a\r\n\r\n"),
    "no chunk": Reading(chunked(b"0\r\n\r\n", CLOSE), (401,), 0),
    # What comes before a request, and after it
    "an empty line before the request": Reading(END + LAST_POST),
    "many empty lines before the request": Reading(END * 100 + LAST_POST),
    "an LF before the request": Reading(b"\n" + LAST_POST),
    "two requests": Reading(POST + LAST_POST, (200, 200), 2),
    "an empty line between two requests": Reading(POST + END + LAST_POST, (200, 200), 2),
    "chunks and a request": Reading(chunked(CHUNKS + END) + LAST_POST, (200, 200), 2),
    "a request after the last one": Reading(LAST_POST + LAST_POST),
    "a request after an unsigned one": Reading(request(HOST, LENGTH) + LAST_POST, (401,), 0),
    "a request after one that there is not": Reading(
        request(HOST, line=b"GET /x HTTP/1.1", body=b"") + POST, (404,), 0
    ),
    "a request after one of HTTP/1.0": Reading(
        request(HOST, LENGTH, SIGNATURE, line=b"POST /webhook HTTP/1.0") + LAST_POST
    ),
    "a request after one of HTTP/1.0 that asks for more": Reading(
        request(HOST, LENGTH, SIGNATURE, KEEP, line=b"POST /webhook HTTP/1.0") + LAST_POST
    ),
    "a request after close and keep-alive": Reading(request(HOST, LENGTH, SIGNATURE, CLOSE, KEEP) + POST),
    "a request after keep-alive and close": Reading(request(HOST, LENGTH, SIGNATURE, KEEP, CLOSE) + POST),
    "a request after a list with close": Reading(
        request(HOST, LENGTH, SIGNATURE, b"Connection: x, close") + POST
    ),
    "a body without a length": Reading(request(HOST, SIGNATURE, CLOSE), (401,), 0),
    "a body of HTTP/1.0 without a length": Reading(
        request(HOST, SIGNATURE, line=b"POST /webhook HTTP/1.0"), (401,), 0
    ),
    "a request as the body of a GET": Reading(_in(HEALTH, INNER_LENGTH, CLOSE), (200,), 0),
    "a request as the chunks of a GET": Reading(_in(HEALTH, CHUNKED, CLOSE, body=INNER_CHUNKS), (200,), 0),
    "a request as the body of a HEAD": Reading(
        _in(b"HEAD /healthz HTTP/1.1", INNER_LENGTH, CLOSE), (200,), 0
    ),
    "a request behind a GET without a length": Reading(_in(HEALTH), (200, 200), 1),
}

# Requests that are not complete when their client sends no more: nothing is accepted, and nothing answered
CUT: dict[str, bytes] = {
    "a length of 2⁶⁴ - 1": request(HOST, b"Content-Length: %d" % (2**64 - 1), SIGNATURE),
    "a length of 2⁶³": request(HOST, b"Content-Length: %d" % 2**63, SIGNATURE),
    "a length that is right modulo 32 bits": request(
        HOST, b"Content-Length: %d" % (2**32 + len(BODY)), SIGNATURE
    ),
    "a length that is one too long": request(HOST, b"Content-Length: %d" % (len(BODY) + 1), SIGNATURE),
    "a size in decimal": chunked(b"%d" % len(BODY) + REST),
    "chunks without a last one": chunked(SIZE + b"\r\n" + BODY + b"\r\n"),
    "chunks without their last line": chunked(CHUNKS),
    "a head without its last line": request(HOST, LENGTH, SIGNATURE)[: -len(BODY) - 2],
    "HTTP/0.9 without headers": b"GET /webhook\r\n",
}
