"""Verify Meta's signature: HMAC-SHA256 of the raw body, with the secret of the Meta app as key. Pure: no I/O.

Several secrets may be valid at once, while one is replaced or when several apps post here. All of them are always
tried, each in constant time, so that the duration shows nothing about the secrets.
"""

import hmac
import re
from collections.abc import Iterable
from functools import lru_cache

HEADER = "X-Hub-Signature-256"
_FORM = re.compile(r"sha256=([0-9a-fA-F]{64})")


def sign(body: bytes, secret: bytes) -> str:
    """Return the value of HEADER that Meta sends with ``body``."""
    return "sha256=" + _digest(body, secret).hex()


def verify(body: bytes, header: str | None, secrets: Iterable[bytes]) -> bool:
    """Return whether ``header`` is the signature of ``body`` with any of ``secrets``."""
    form = _FORM.fullmatch(header or "")
    if form is None:
        return False
    digest = bytes.fromhex(form[1])
    matches = [hmac.compare_digest(_digest(body, secret), digest) for secret in secrets]
    return any(matches)


def verify_token(token: str | None, tokens: Iterable[bytes]) -> bool:
    """Return whether ``token`` is one of ``tokens``."""
    raw = (token or "").encode(errors="surrogatepass")
    matches = [hmac.compare_digest(valid, raw) for valid in tokens if valid]
    return any(matches)


def _digest(body: bytes, secret: bytes) -> bytes:
    keyed = _keyed(secret).copy()
    keyed.update(body)
    return keyed.digest()


@lru_cache(maxsize=32)
def _keyed(secret: bytes) -> hmac.HMAC:
    """Return the HMAC to copy for each body: hashing the key once is faster.

    ``hmac.digest`` would release the GIL even for the shortest body, which costs more than the digest.
    """
    return hmac.new(secret, digestmod="sha256")
