"""Find conversations: by a name or number of theirs, by a message or event in them, or by what somebody is called."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from app.payload import message_key_ranges
from app.stores import MAX_ID

SHOWN = 50
# Events, the newest: where a profile's name or a text is looked for, since no index holds them
LOOKED_THROUGH = 50_000
RECENT = 2000  # events, the newest, whose conversations are shown before anything is looked for
SHORTEST_TEXT = 2  # characters

ROWS = text("""
SELECT c.id, c.key, last.occurred_at AS last_at, last.kind AS last_kind, last.type AS last_type,
  (SELECT count(*) FROM jobs j WHERE j.lane IN (SELECT id FROM lanes l WHERE c.id = l.conversation_id)) AS waiting,
  (SELECT count(*) FROM outcomes o WHERE o.state = 'dead'
     AND o.lane IN (SELECT id FROM lanes l WHERE c.id = l.conversation_id)) AS dead_letters,
  EXISTS (SELECT FROM lanes l WHERE c.id = l.conversation_id AND l.paused_at IS NOT NULL) AS paused
FROM conversations c LEFT JOIN LATERAL (
  SELECT occurred_at, kind, type FROM events e WHERE e.lane = c.id
  ORDER BY e.occurred_at DESC, e.delivery_id DESC, e.position DESC LIMIT 1
) AS last ON true
WHERE c.id IN (SELECT coalesce(k.merged_into, k.id) FROM conversations k WHERE k.id = ANY(:ids))
ORDER BY last.occurred_at DESC NULLS LAST, c.id DESC LIMIT :at_most
""")
NEWEST = text("""
SELECT lane FROM (SELECT id, lane FROM events ORDER BY id DESC LIMIT :events) AS newest
GROUP BY lane ORDER BY max(id) DESC LIMIT :at_most
""")
OF_NUMBER = text("""
SELECT :id UNION SELECT lane FROM events WHERE id = :id
UNION SELECT e.lane FROM events e JOIN jobs j ON j.event_id = e.id WHERE j.id = :id
UNION SELECT e.lane FROM events e JOIN outcomes o ON o.event_id = e.id WHERE o.id = :id
""")
OF_DELIVERY = text("SELECT DISTINCT lane FROM events WHERE delivery_id = :id")
# One range of the unique index for each beginning; an OR of them would read the whole table
OF_MESSAGE = text("""
SELECT m.lane FROM unnest(CAST(:keys AS text[])) AS k CROSS JOIN LATERAL (
  SELECT lane FROM events WHERE key = k UNION ALL SELECT lane FROM events WHERE key >= k || ':' AND key < k || ';'
) AS m
UNION SELECT e.lane FROM sends s JOIN events e ON e.id = s.event_id WHERE s.message_id = :id
""")
# A bare phone number or user id: all names are read
OF_NAME = text("""
SELECT DISTINCT conversation_id FROM conversation_aliases
WHERE key = :name OR right(key, length(:bare) + 1) = '/' || :bare LIMIT :at_most
""")
OF_TEXT = text("""
SELECT DISTINCT lane FROM (SELECT lane, payload FROM events ORDER BY id DESC LIMIT :events) AS newest
WHERE strpos(lower(payload), lower(:escaped)) > 0 LIMIT :at_most
""")


@dataclass(frozen=True, slots=True)
class FoundConversation:
    """A conversation in a list; its last event is None where all of them are purged."""

    id: int
    key: str
    last_at: datetime | None
    last_kind: str | None
    last_type: str | None
    waiting: int  # jobs, in all its lanes
    dead_letters: int
    paused: bool


def latest(connection: Connection) -> list[FoundConversation]:
    """Return the conversations of the newest events, the newest first, SHOWN at most."""
    ids = connection.execute(NEWEST, {"events": RECENT, "at_most": SHOWN}).scalars().all()
    return _rows(connection, ids)


def find(connection: Connection, looked_for: str) -> list[FoundConversation]:
    """Return the conversations that are meant, those with the newest events first, SHOWN at most.

    ``looked_for`` is the number of a conversation, event or job, a delivery's id, a wamid of either side, a phone
    number, user id or group id; else a part of a profile's name or of a text in the last LOOKED_THROUGH events.
    """
    looked_for = looked_for.strip()
    if not looked_for:
        return latest(connection)
    return _rows(connection, _ids(connection, looked_for))


def _ids(connection: Connection, looked_for: str) -> Sequence[int]:
    """Return the conversations by the first reading of ``looked_for`` that finds any."""
    if looked_for.startswith("wamid."):
        asked = {"keys": message_key_ranges(looked_for), "id": looked_for}
        return connection.execute(OF_MESSAGE, asked).scalars().all()
    if (delivery_id := _uuid(looked_for)) is not None:
        return connection.execute(OF_DELIVERY, {"id": delivery_id}).scalars().all()
    names = {"name": looked_for, "bare": _bare(looked_for), "at_most": SHOWN}
    found = list(connection.execute(OF_NAME, names).scalars())
    if looked_for.isdecimal() and looked_for.isascii() and int(looked_for) <= MAX_ID:
        found += connection.execute(OF_NUMBER, {"id": int(looked_for)}).scalars()
    if found and _rows(connection, found):
        return found
    if len(looked_for) < SHORTEST_TEXT:
        return []
    escaped = json.dumps(looked_for)[1:-1]  # as a payload spells it
    bounds = {"events": LOOKED_THROUGH, "at_most": SHOWN}
    return connection.execute(OF_TEXT, {"escaped": escaped, **bounds}).scalars().all()


def _rows(connection: Connection, ids: Sequence[int]) -> list[FoundConversation]:
    rows = connection.execute(ROWS, {"ids": list(ids), "at_most": SHOWN}).mappings()
    return [FoundConversation(**row) for row in rows]


def _bare(name: str) -> str:
    """A phone number as people write it, as Meta does; other names as they are."""
    digits = "".join(filter(str.isdigit, name))
    return digits if digits and not name.strip("+0123456789 ()-./") else name


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None
