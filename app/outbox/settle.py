"""Statuses that Meta sends settle what the outbox knows: by callback data, also before an answer, also days later."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from app.graph import SENT_AGAIN_AFTER_FAILED, remedy_for
from app.outbox import callback
from app.stores import MessageStatus, Prepared, recordset

MAX_FAILED_AGAIN = 5  # attempts, in all, of what Meta took and then reported as failed

# What is known to be sent is accepted, whatever was thought of it. ``failed`` proves that nothing was delivered: sent
# again where the code allows it, else dead. A person's decision stays.
SETTLE = f"""
PREPARE outbox_settle (json) AS
WITH given AS (
  SELECT * FROM json_to_recordset($1) AS r (
    callback uuid, message_id text, status message_status, again boolean, error text, code int)
), was AS MATERIALIZED (
  SELECT s.id, given.message_id, given.status, given.error, given.code,
         s.state IN ('dropped', 'cancelled') AS decided,
         given.status = 'failed' AND coalesce(s.status, 'sent') = 'sent' AS failed,
         given.status = 'failed' AND coalesce(s.status, 'sent') = 'sent' AND given.again
           AND s.attempts < {MAX_FAILED_AGAIN} AND s.state NOT IN ('dropped', 'cancelled') AS again
  FROM sends s JOIN given USING (callback) ORDER BY s.id FOR UPDATE OF s
)
UPDATE sends s SET
  message_id = coalesce(s.message_id, was.message_id),
  status = CASE WHEN was.again THEN NULL ELSE greatest(s.status, was.status) END,
  state = CASE WHEN was.decided THEN s.state WHEN was.again THEN 'queued' WHEN was.failed THEN 'dead'
               ELSE 'accepted' END,
  callback = CASE WHEN was.again THEN gen_random_uuid() ELSE s.callback END,
  due_at = CASE WHEN was.again THEN clock_timestamp() + interval '5 s' ELSE s.due_at END,
  error = CASE WHEN was.failed THEN was.error WHEN s.state = 'accepted' THEN s.error END,
  error_code = CASE WHEN was.failed THEN was.code WHEN s.state = 'accepted' THEN s.error_code END,
  unsure = false,
  unknown_since = NULL,
  accepted_at = coalesce(s.accepted_at, clock_timestamp()),
  finished_at = coalesce(s.finished_at, clock_timestamp()),
  holds = CASE WHEN was.decided THEN false WHEN was.failed THEN was.again
               ELSE s.holds AND s.delays_next IS NOT NULL AND was.status < s.delays_next END
FROM was WHERE s.id = was.id
RETURNING s.id
"""  # noqa: S608  (a number)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one status says about one send."""

    callback: UUID
    message_id: str
    status: MessageStatus
    code: int | None
    error: str | None


def of_status(
    data: str | None, message_id: str, status: str, code: int | None, words: str
) -> Settlement | None:
    """Return what a status of Meta's says about a send of ours; None where it is about no such send."""
    found = callback.find(data)
    if found is None:
        return None
    error = f"failed after Meta took it: ({code}) {words}" if status == MessageStatus.FAILED else None
    return Settlement(found, message_id, MessageStatus(status), code, error)


def settle(connection: Connection, settlements: Iterable[Settlement]) -> int:
    """Apply what statuses say, the furthest of each send; return how many sends it concerned."""
    furthest: dict[UUID, Settlement] = {}
    rank = list(MessageStatus).index
    for each in settlements:
        known = furthest.get(each.callback)
        if known is None or rank(each.status) > rank(known.status):
            furthest[each.callback] = each
    if not furthest:
        return 0
    return len(Prepared(connection).rows(SETTLE, recordset([_row(each) for each in furthest.values()])))


def _row(settlement: Settlement) -> dict[str, Any]:
    code = settlement.code
    return {
        "callback": settlement.callback,
        "message_id": settlement.message_id,
        "status": settlement.status,
        "again": code is not None and remedy_for(code) in SENT_AGAIN_AFTER_FAILED,
        "error": settlement.error,
        "code": code,
    }
