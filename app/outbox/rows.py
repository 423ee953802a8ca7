"""A send as it is written and as a sender takes it. Pure: no I/O."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.outbox import callback
from app.outbox.address import Address, Kind


@dataclass(frozen=True, slots=True)
class NewSend:
    """A message that a handler wants sent, once for (event, handler, step)."""

    event_id: int
    handler: str
    step: str
    number: str
    conversation: str
    address: Address
    body: dict[str, Any]
    outside_window: dict[str, Any] | None = None
    window_closes_at: datetime | None = None
    due_at: datetime | None = None  # None: at once
    cancel_key: str | None = None
    delays_next: str | None = None  # the status that the next send waits for
    after: str | None = None  # the status of the send before that this one waits for


@dataclass(frozen=True, slots=True)
class TakenSend:
    """A send that this sender is to post: its attempt is counted and committed."""

    id: int
    attempt: int
    number: str
    kind: Kind
    recipient: str
    body: str
    callback: UUID
    age_seconds: float

    def with_body(self, body: str) -> "TakenSend":
        """Return the send with another message object."""
        return replace(self, body=body)

    def request(self) -> dict[str, Any]:
        """Return the JSON that is posted to Meta."""
        return {
            "messaging_product": "whatsapp",
            **Address(self.kind, self.recipient).members(),
            **json.loads(self.body),
            "biz_opaque_callback_data": callback.data_of(self.callback),
        }
