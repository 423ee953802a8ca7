"""A sent message's status only moves forward, however its updates arrive.

The rank is the order of the enum ``message_status`` in Postgres: sent < failed < delivered < read < played. Each
status's own first time is kept, so a ``failed`` that came after ``read`` can still be seen.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection

from app.payload import StatusUpdate
from app.stores import MessageStatus, Prepared, recordset

RANK = {status: rank for rank, status in enumerate(MessageStatus)}

MOVE_FORWARD = """
PREPARE move_statuses_forward (json) AS
INSERT INTO message_statuses AS known
  (message_id, participant, status, sent_at, failed_at, delivered_at, read_at, played_at)
SELECT message_id, participant, status, sent, failed, delivered, read, played
FROM json_to_recordset($1) AS incoming (
  message_id text, participant text, status message_status, sent timestamptz, failed timestamptz,
  delivered timestamptz, read timestamptz, played timestamptz)
ON CONFLICT (message_id, participant) DO UPDATE SET
  status = greatest(known.status, excluded.status),
  sent_at = least(known.sent_at, excluded.sent_at),
  failed_at = least(known.failed_at, excluded.failed_at),
  delivered_at = least(known.delivered_at, excluded.delivered_at),
  read_at = least(known.read_at, excluded.read_at),
  played_at = least(known.played_at, excluded.played_at),
  purge_after = NULL
"""


def move_forward(connection: Connection, updates: Iterable[tuple[StatusUpdate, datetime]]) -> None:
    """Apply updates, each with the time to use where Meta gave none, in one statement.

    Rows are written in the order of their key, so that two transactions never wait for each other in a circle.
    """
    rows = [
        {
            "message_id": message_id,
            "participant": participant,
            "status": max(times, key=RANK.__getitem__),
            **{status.value: at for status, at in times.items()},
        }
        for (message_id, participant), times in sorted(merge(updates).items())
    ]
    if rows:
        Prepared(connection).rows(MOVE_FORWARD, recordset(rows))


def merge(
    updates: Iterable[tuple[StatusUpdate, datetime]],
) -> dict[tuple[str, str], dict[MessageStatus, datetime]]:
    """(message id, participant) → the first time of each status. Pure: no I/O."""
    rows: dict[tuple[str, str], dict[MessageStatus, datetime]] = {}
    for update, fallback in updates:
        at = fallback if update.occurred_at is None else datetime.fromtimestamp(update.occurred_at, UTC)
        times = rows.setdefault((update.message_id, update.participant), {})
        status = MessageStatus(update.status)
        times[status] = min(times.get(status, at), at)
    return rows
