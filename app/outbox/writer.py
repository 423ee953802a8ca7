"""Write what a handler sends, in the handler's own transaction: it leaves only if the handler committed."""

import json
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, text

from app.outbox.rows import NewSend
from app.stores import Prepared

INSERT = text("""
INSERT INTO sends (event_id, handler, step, number, conversation, recipient_kind, recipient, body, outside_window,
                   window_closes_at, due_at, cancel_key, delays_next, callback)
VALUES (:event_id, :handler, :step, :number, :conversation, :kind, :recipient, :body, :outside_window,
        :window_closes_at, coalesce(:due_at, clock_timestamp()), :cancel_key,
        CAST(:delays_next AS message_status), :callback)
ON CONFLICT (event_id, handler, step) DO NOTHING
RETURNING id
""")

# The send before waits for its status: if it has left already, it holds up its conversation again for a moment
DELAY = text("""
UPDATE sends SET
  delays_next = CAST(:status AS message_status),
  holds = holds OR (accepted_at > clock_timestamp() - interval '5 s'
                    AND (status IS NULL OR status < CAST(:status AS message_status))),
  held_until = CASE WHEN state = 'accepted' THEN accepted_at + interval '5 s' ELSE held_until END
WHERE id = (SELECT max(id) FROM sends WHERE number = :number AND conversation = :conversation AND id < :id
            AND (holds OR accepted_at > clock_timestamp() - interval '5 s'))
""")

CANCEL = text("""
UPDATE sends SET state = 'cancelled', holds = false, finished_at = clock_timestamp()
WHERE cancel_key = :key AND number = :number AND state = 'queued' AND NOT unsure
""")

CONVERSATION = text("""
SELECT root.key,
       (SELECT max(e.occurred_at) FROM events e
        WHERE e.kind = 'message' AND e.occurred_at > now() - interval '25 hours'
          AND e.lane IN (SELECT root.id UNION ALL SELECT m.id FROM conversations m WHERE m.merged_into = root.id))
FROM conversation_aliases a JOIN conversations c ON c.id = a.conversation_id
JOIN conversations root ON root.id = coalesce(c.merged_into, c.id)
WHERE a.key = :alias
""")

# What waits in a conversation that is merged waits in the winner's from now on, in the order of all of them
MOVE = text("""
UPDATE sends SET conversation = (SELECT key FROM conversations WHERE id = :winner)
WHERE holds AND (number, conversation) = (SELECT split_part(key, '/', 1), key FROM conversations WHERE id = :loser)
""")

# The merge did not see what was not committed. Whoever ends the job and whoever merges lock its lane, so one of the two
# sees what the other has done.
FOLLOW = """
PREPARE outbox_follow (bigint, bigint, text) AS
UPDATE sends s SET conversation = place.key
FROM (
  SELECT c.key FROM lanes own
  JOIN lanes root ON root.id = coalesce(own.merged_into, own.id)
  JOIN conversations c ON c.id = root.conversation_id
  WHERE own.id = $1 AND c.key <> $3
) AS place
WHERE s.event_id = $2 AND s.holds AND s.conversation = $3
"""


def write(connection: Connection, send: NewSend) -> bool:
    """Write a send; return whether it is new: a step that was written before, by any attempt, is not sent again."""
    found = connection.execute(INSERT, _parameters(send)).scalar()
    if found is None:
        return False
    if send.after:
        where = {"number": send.number, "conversation": send.conversation, "id": found, "status": send.after}
        connection.execute(DELAY, where)
    return True


def cancel(connection: Connection, number: str, key: str) -> int:
    """Cancel sends of this key that have not left; return how many."""
    return connection.execute(CANCEL, {"number": number, "key": key}).rowcount


def move(connection: Connection, loser: int, winner: int) -> None:
    """Let the sends that wait in a conversation wait in the one that it is merged into."""
    connection.execute(MOVE, {"loser": loser, "winner": winner})


def follow_merge(connection: Connection, lane: int, event_id: int, conversation: str) -> None:
    """Let the sends of an event wait where its conversation was merged into, if it was since the attempt began.

    In the transaction that ends the job, after its lane was locked.
    """
    Prepared(connection).rows(FOLLOW, lane, event_id, conversation)


def find_conversation(
    connection: Connection, number: str, recipient: str
) -> tuple[str, datetime | None] | None:
    """Return a recipient's conversation and when the user last wrote in it; None where there is none."""
    row = connection.execute(CONVERSATION, {"alias": f"{number}/{recipient}"}).one_or_none()
    return (row[0], row[1]) if row else None


def _parameters(send: NewSend) -> dict[str, Any]:
    return {
        "event_id": send.event_id,
        "handler": send.handler,
        "step": send.step,
        "number": send.number,
        "conversation": send.conversation,
        "kind": send.address.kind,
        "recipient": send.address.recipient,
        "body": json.dumps(send.body),
        "outside_window": json.dumps(send.outside_window) if send.outside_window else None,
        "window_closes_at": send.window_closes_at,
        "due_at": send.due_at,
        "cancel_key": send.cancel_key,
        "delays_next": send.delays_next,
        "callback": uuid4(),
    }
