"""Whether two sendings of one item say the same. Pure: no I/O."""

import json
from typing import Any

from app.payload.identity import canonical, digest

# Parameters of a media URL that Meta makes anew for each sending: its signature and when it ends
SIGNATURE_PARAMETERS = ("ext", "hash", "oe", "oh")


def item_digest(payload: str) -> str:
    """Return the digest of an event's item without the signatures of its media URLs."""
    return digest(canonical(_unsigned(json.loads(payload).get("item"))))


def _unsigned(value: Any) -> Any:
    if isinstance(value, list):
        return [_unsigned(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _unsigned_url(member) if isinstance(member, str) and name.endswith("url") else _unsigned(member)
        for name, member in value.items()
    }


def _unsigned_url(url: str) -> str:
    address, _, query = url.partition("?")
    parameters = [each for each in query.split("&") if each.partition("=")[0] not in SIGNATURE_PARAMETERS]
    return f"{address}?{'&'.join(parameters)}"
