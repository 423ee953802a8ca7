"""Keep the content of a duplicate that differs from its event.

Promises: no content is lost because its key was known. Cannot see: a difference outside the item.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from app.ingest.rows import NewEvent
from app.payload import item_digest
from app.stores import Prepared, recordset

EVENTS_OF_KEYS = """
PREPARE duplicated_events (text[]) AS SELECT key, id, payload FROM events WHERE key = ANY($1)
"""
KEEP = """
PREPARE keep_changed_duplicates (json) AS
INSERT INTO changed_duplicates (event_id, item_digest, delivery_id, position, accepted_at, payload)
SELECT event_id, item_digest, delivery_id, position, accepted_at, payload
FROM json_to_recordset($1) AS incoming (
  event_id bigint, item_digest text, delivery_id uuid, position int, accepted_at timestamptz, payload text)
ON CONFLICT DO NOTHING
"""


def keep(connection: Connection, rows: Sequence[NewEvent]) -> None:
    """Mark the duplicates whose item differs from that of their event, and store each such content once.

    Only for rows that were not inserted: it costs a round trip where there is a duplicate, and none elsewhere.
    """
    duplicates = [row for row in rows if row.id is None]
    if not duplicates:
        return
    keys = sorted({row.key for row in duplicates})
    events = {key: (id_, payload) for key, id_, payload in Prepared(connection).rows(EVENTS_OF_KEYS, keys)}
    values: dict[tuple[int, str], dict[str, Any]] = {}
    for row in duplicates:
        event_id, payload = events.get(row.key, (None, row.event.payload))
        if payload == row.event.payload or (digest := item_digest(row.event.payload)) == item_digest(payload):
            continue
        row.changed = True
        values.setdefault(
            (event_id, digest),
            {
                "event_id": event_id,
                "item_digest": digest,
                "delivery_id": row.delivery.id,
                "position": row.event.index,
                "accepted_at": row.accepted_at,
                "payload": row.event.payload,
            },
        )
    if values:
        Prepared(connection).rows(KEEP, recordset([values[key] for key in sorted(values)]))
