"""What the handlers of a conversation keep and expect, in each of its lanes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

DIALOGS = text("""
SELECT (SELECT name FROM lane_names n WHERE n.id = l.lane_name_id) AS lane_name, d.expects, d.due_at, d.state,
       d.changed_at
FROM dialogs d JOIN lanes l ON l.id = d.lane
WHERE l.conversation_id = :conversation AND (d.expects IS NOT NULL OR d.state IS NOT NULL)
ORDER BY d.lane
""")


@dataclass(frozen=True, slots=True)
class DialogView:
    """The dialog of one lane."""

    lane_name: str
    expects: str | None
    due_at: datetime | None  # when that times out
    state: str | None  # JSON, with what users wrote
    changed_at: datetime


def dialogs_of(connection: Connection, conversation: int) -> list[DialogView]:
    """Return the dialogs of a conversation, ``main`` first."""
    return [
        DialogView(**row) for row in connection.execute(DIALOGS, {"conversation": conversation}).mappings()
    ]
