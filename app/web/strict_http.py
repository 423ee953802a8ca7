"""Refuse what two HTTP parsers could read in two ways (RFC 9112, section 11.2). Pure: no I/O.

A proxy in front that reads one request where we read another would let an attacker hide one in the other, or show us a
signature that nobody checked. Meta and every common proxy send none of these.
"""

import re
from collections.abc import Iterable

ONCE = frozenset((b"host", b"content-length", b"transfer-encoding", b"x-hub-signature-256"))

# A name or an address, and a port. RFC 3986 allows more in a name, of which DNS knows nothing
HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")

Headers = Iterable[tuple[bytes, bytes]]


class Ambiguous(ValueError):
    """The request could be read in two ways."""


def check_request(target: bytes, version: str, headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers (lower-case name, value) that count; raise Ambiguous for what two parsers could read apart."""
    if not target.startswith(b"/") or b"#" in target:
        raise Ambiguous("the target must be a path")
    if version not in ("1.0", "1.1"):
        raise Ambiguous("HTTP/1.0 and HTTP/1.1 only")
    values: dict[bytes, bytes] = {}
    counted = []
    for name, value in headers:
        if b"_" in name:
            if name.replace(b"_", b"-") in ONCE:  # WSGI has one name for both
                raise Ambiguous("an underscore in the name of a header that counts")
            continue
        if b"\r" in value or b"\n" in value or b"\0" in value:
            raise Ambiguous("a header of more than one line")
        if name in ONCE:
            if name in values:
                raise Ambiguous("a header twice that may come once")
            values[name] = value
        counted.append((name, value))
    _check_framing(values, version)
    return counted


def _check_framing(values: dict[bytes, bytes], version: str) -> None:
    host = values.get(b"host", b"")
    if (host or version == "1.1") and not HOST.fullmatch(host):
        raise Ambiguous("no Host, or one that is none")
    encoding, length = values.get(b"transfer-encoding"), values.get(b"content-length")
    if encoding is not None:
        if length is not None or version == "1.0" or encoding.lower() != b"chunked":
            raise Ambiguous("a Transfer-Encoding other than chunked alone")
    elif length is not None and not length.isdigit():
        raise Ambiguous("a Content-Length that is no number")
