"""Know a repeat of an event that release 0.1.0 stored under another key.

That release keyed payments and calls by their ids alone; today their content is a part of the key. Meta repeats a
webhook for days, so a repeat may come after the upgrade, and would else be a second event.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from app.ingest.rows import NewEvent
from app.payload import ids_of, item_digest
from app.stores import Prepared

# The ids themselves, or more ids behind them: 0.1.0 wrote those of a payment's transaction
EVENTS_OF_IDS = """
PREPARE events_of_ids (text[]) AS
SELECT ids, e.key, e.payload FROM unnest($1) AS ids CROSS JOIN LATERAL (
  SELECT key, payload FROM events WHERE key = ids
  UNION ALL
  SELECT key, payload FROM events WHERE key >= ids || ':' AND key < ids || ';' AND strpos(key, ':~') = 0
) AS e
"""


def find(connection: Connection, rows: Sequence[NewEvent]) -> None:
    """Give each row the key that its event was stored under by 0.1.0, where the item is the same.

    Costs a round trip where there is a payment or a call, and none elsewhere.
    """
    ids = {row.key: ids_of(row.key) for row in rows}
    asked = sorted({each for each in ids.values() if each is not None})
    if not asked:
        return
    keys = {
        (id_, item_digest(payload)): key
        for id_, key, payload in Prepared(connection).rows(EVENTS_OF_IDS, asked)
    }
    if not keys:
        return
    for row in rows:
        if ids[row.key] is not None:
            row.key = keys.get((ids[row.key], item_digest(row.event.payload)), row.key)
