"""Sends as people look at them: found by what is known of them, and those of an event or message."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

FIND = text("""
SELECT s.id, s.event_id, s.handler, s.step, s.number, s.conversation, s.state::text AS state, s.status::text AS status,
       s.attempts, s.due_at, s.created_at, s.accepted_at, s.finished_at, s.unsure, s.message_id, s.error_code, s.error,
       s.body
FROM sends s
WHERE (CAST(:ids AS bigint[]) IS NULL OR s.id = ANY(:ids))
  AND (CAST(:states AS text[]) IS NULL OR s.state::text = ANY(:states))
  AND (CAST(:number AS text) IS NULL OR s.number = :number)
  AND (CAST(:code AS int) IS NULL OR s.error_code = :code)
  AND (CAST(:unsure AS boolean) IS NULL OR s.unsure = :unsure)
  AND (CAST(:conversation AS text) IS NULL OR s.conversation = :conversation)
  AND (CAST(:event_ids AS bigint[]) IS NULL OR s.event_id = ANY(:event_ids))
  AND (CAST(:message_id AS text) IS NULL OR s.message_id = :message_id)
  AND s.id > :after
ORDER BY s.id LIMIT :at_most
""")
ATTEMPTS = text("""
SELECT send_id, number, at, answer FROM send_attempts WHERE send_id = ANY(:ids) ORDER BY send_id, number
""")
ACTIONS = text(
    "SELECT send_id, at, action, who, reason FROM send_actions WHERE send_id = ANY(:ids) ORDER BY id"
)
STOPPED = text("SELECT number, since, error_code, error FROM stopped_numbers ORDER BY number")

NEED_A_DECISION = ("dead", "unknown")


@dataclass(frozen=True, slots=True)
class SendFilter:
    """Which sends; None is any."""

    ids: Sequence[int] | None = None
    states: Sequence[str] | None = None
    number: str | None = None
    code: int | None = None
    unsure: bool | None = None
    conversation: str | None = None
    event_ids: Sequence[int] | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """One send; ``status`` is how far it got at Meta, ``unsure`` that an attempt of it may have been sent."""

    id: int
    event_id: int
    handler: str
    step: str
    number: str
    conversation: str
    state: str
    status: str | None
    attempts: int
    due_at: datetime
    created_at: datetime
    accepted_at: datetime | None
    finished_at: datetime | None
    unsure: bool
    message_id: str | None
    error_code: int | None
    error: str | None
    body: str

    @property
    def stands_at(self) -> str:
        """The status where there is one, else the state."""
        return self.status or self.state if self.state == "accepted" else self.state


def find(connection: Connection, filter_: SendFilter, at_most: int = 1000, after: int = 0) -> list[Send]:
    """Return sends, the oldest first, from behind an id."""
    parameters: dict[str, Any] = {**asdict(filter_), "at_most": at_most, "after": after}
    for name in ("ids", "states", "event_ids"):
        parameters[name] = list(parameters[name]) if parameters[name] is not None else None
    return [Send(**row) for row in connection.execute(FIND, parameters).mappings()]


def attempts_of(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what came back for each attempt of some sends."""
    return [dict(row) for row in connection.execute(ATTEMPTS, {"ids": list(ids)}).mappings()]


def actions_of(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what people decided about some sends."""
    return [dict(row) for row in connection.execute(ACTIONS, {"ids": list(ids)}).mappings()]


def stopped_numbers(connection: Connection) -> list[dict[str, Any]]:
    """Return the numbers from which nothing may leave, and why."""
    return [dict(row) for row in connection.execute(STOPPED).mappings()]
