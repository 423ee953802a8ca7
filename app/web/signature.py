"""Who may post: HMAC-SHA256 over the raw bytes, under the secret of the Meta app. Pure: no I/O.

Several secrets may be valid at once, while one is replaced or when several apps post here. All of them are
always tried, each in constant time, so that the time taken tells nothing.
"""

import hmac
import re
from collections.abc import Iterable
from functools import lru_cache

HEADER = "X-Hub-Signature-256"
_FORM = re.compile(r"sha256=([0-9a-fA-F]{64})")


def sign(body: bytes, secret: bytes) -> str:
    """The value of HEADER for ``body``, as Meta sends it."""
    return "sha256=" + _digest(body, secret).hex()


def verify(body: bytes, header: str | None, secrets: Iterable[bytes]) -> bool:
    """Whether ``header`` is the signature of ``body`` under any of ``secrets``; a malformed one is not."""
    form = _FORM.fullmatch(header or "")
    if form is None:
        return False
    given = bytes.fromhex(form[1])
    matches = [hmac.compare_digest(_digest(body, secret), given) for secret in secrets]
    return any(matches)


def verify_token(token: str | None, tokens: Iterable[bytes]) -> bool:
    """Whether ``token`` is any of ``tokens``."""
    given = (token or "").encode(errors="surrogatepass")
    matches = [hmac.compare_digest(known, given) for known in tokens if known]
    return any(matches)


def _digest(body: bytes, secret: bytes) -> bytes:
    keyed = _keyed(secret).copy()
    keyed.update(body)
    return keyed.digest()


@lru_cache(maxsize=32)
def _keyed(secret: bytes) -> hmac.HMAC:
    """Where each digest under ``secret`` begins. ``hmac.digest`` lets go of the GIL for the shortest body."""
    return hmac.new(secret, digestmod="sha256")
