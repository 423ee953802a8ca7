"""Split a body into events: what each item is, its key, and its participant. Pure, no I/O.

Promises: every item becomes one event; the same item always has the same key.
Relies on: the shapes that Meta documents; what it does not know is kept whole.
Cannot see: what came before, so duplicates are for ``ingest`` to find.
"""

from app.payload.difference import item_digest
from app.payload.identity import UNSTORABLE, build_key, canonical, ids_of, message_id_of, message_key_ranges
from app.payload.parse import ParsedBody, ParsedEvent, StatusUpdate, parse, unreadable_body
from app.payload.participants import own_phone_of

__all__ = [
    "UNSTORABLE",
    "ParsedBody",
    "ParsedEvent",
    "StatusUpdate",
    "build_key",
    "canonical",
    "ids_of",
    "item_digest",
    "message_id_of",
    "message_key_ranges",
    "own_phone_of",
    "parse",
    "unreadable_body",
]
