"""Leave out what Meta repeats of people who were erased.

Promises: neither an event of which only the digest of its key is kept, nor a later status of an erased message, is
stored again, nor a name that came with it. It is logged as a duplicate. Cannot see: a new message of that person,
which begins a new conversation.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from app.ingest.rows import Incoming, NewEvent
from app.payload import ParsedBody
from app.stores import Prepared

# A key's second part is the message's id. Postgres makes digests only where anybody was ever erased
ERASED_KEYS = """
PREPARE erased_keys_of (text[]) AS
SELECT key FROM unnest($1) AS key
WHERE EXISTS (SELECT FROM erased_keys)
  AND EXISTS (
    SELECT FROM erased_keys
    WHERE digest IN (encode(sha256(convert_to(key, 'UTF8')), 'hex'),
                     encode(sha256(convert_to(split_part(key, ':', 2), 'UTF8')), 'hex')))
"""


def split(connection: Connection, rows: Sequence[NewEvent]) -> tuple[list[NewEvent], list[NewEvent]]:
    """Return the rows that are to be stored, and those of people who were erased."""
    keys = sorted({row.event.key for row in rows})
    erased = {key for (key,) in Prepared(connection).rows(ERASED_KEYS, keys)} if keys else set()
    if not erased:
        return list(rows), []
    return (
        [row for row in rows if row.event.key not in erased],
        [row for row in rows if row.event.key in erased],
    )


def other_links(
    links: Sequence[tuple[str, ...]], kept: Sequence[NewEvent], erased: Sequence[NewEvent]
) -> list[tuple[str, ...]]:
    """Return the groups of names that a body tells beside its events, without those of people who were erased."""
    known = {alias for row in kept for alias in row.event.aliases}
    gone = {alias for row in erased for alias in row.event.aliases} - known
    return [link for link in links if not gone.intersection(link)]


def without_bodies(
    parsed: Sequence[tuple[Incoming, ParsedBody]], erased: Sequence[NewEvent]
) -> Sequence[tuple[Incoming, ParsedBody]]:
    """Return the deliveries without the bodies that could not be read and were erased: they count as split."""
    gone = {row.delivery.id for row in erased}
    return [
        (delivery, replace(body, unreadable=None) if body.unreadable and delivery.id in gone else body)
        for delivery, body in parsed
    ]
