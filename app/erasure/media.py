"""The files that a person sent, in MEDIA_STORE."""

import json
from collections.abc import Iterable, Sequence

import fsspec
from sqlalchemy import Connection, text

from app.handlers import MEDIA_TYPES, media_of_item

# The same file by somebody else is kept once: then it stays
SENT_BY_OTHERS = text("""
SELECT checksum FROM unnest(CAST(:checksums AS text[])) AS checksum
WHERE EXISTS (SELECT FROM events e
              WHERE e.type = ANY(:types) AND e.lane <> ALL(:conversations) AND strpos(e.payload, checksum) > 0)
""")


def delete_files(connection: Connection, payloads: Iterable[str], conversations: Sequence[int]) -> int:
    """Delete the files of these events that nobody else sent; return how many there were."""
    locations = _locations(payloads)
    if not locations:
        return 0
    parameters = {
        "checksums": sorted(locations),
        "types": list(MEDIA_TYPES),
        "conversations": list(conversations),
    }
    shared = set(connection.execute(SENT_BY_OTHERS, parameters).scalars())
    deleted = 0
    for checksum, location in locations.items():
        files, path = fsspec.core.url_to_fs(location)
        if checksum not in shared and files.exists(path):
            files.rm(path)
            deleted += 1
    return deleted


def _locations(payloads: Iterable[str]) -> dict[str, str]:
    """Return each file's checksum, as Meta writes it in JSON → where it is kept."""
    found = {}
    for payload in payloads:
        item = json.loads(payload).get("item")
        media = media_of_item(item, "any")
        if media is not None and media.location is not None:
            found[json.dumps(item[media.type]["sha256"])[1:-1]] = media.location
    return found
