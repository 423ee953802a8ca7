"""Who may post: HMAC-SHA256 over the raw bytes, under the secret of the Meta app. Pure: no I/O.

Several secrets may be valid at once, while one is replaced or when several apps post here. All of them are
always tried, each in constant time, so that the time taken tells nothing.
"""

import hmac
import re
from collections.abc import Iterable

HEADER = "X-Hub-Signature-256"
_FORM = re.compile(r"sha256=([0-9a-fA-F]{64})")


def sign(body: bytes, secret: bytes) -> str:
    """The value of HEADER for ``body``, as Meta sends it."""
    return "sha256=" + hmac.digest(secret, body, "sha256").hex()


def verify(body: bytes, header: str | None, secrets: Iterable[bytes]) -> bool:
    """Whether ``header`` is the signature of ``body`` under any of ``secrets``; a malformed one is not."""
    form = _FORM.fullmatch(header or "")
    if form is None:
        return False
    given = bytes.fromhex(form[1])
    matches = [hmac.compare_digest(hmac.digest(secret, body, "sha256"), given) for secret in secrets]
    return any(matches)


def verify_token(token: str | None, tokens: Iterable[bytes]) -> bool:
    """Whether ``token`` is any of ``tokens``."""
    given = (token or "").encode(errors="surrogatepass")
    matches = [hmac.compare_digest(known, given) for known in tokens if known]
    return any(matches)
