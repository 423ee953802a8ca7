"""What a handler is given: the event, and the transaction that will mark it done."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Event:
    """One message, status or other item. ``item`` is what Meta sent, untouched."""

    id: int
    key: str
    kind: str  # message, status, payment_status, call_status or other
    type: str  # the message's type, the status's value, or the field's name
    conversation: str | None  # <phone_number_id>/<group, BSUID or phone>
    occurred_at: datetime  # Meta's timestamp, or the time of acceptance where there is none
    accepted_at: datetime
    late: bool  # an event that comes after it in its conversation was handled before it arrived
    payload: str

    @cached_property
    def content(self) -> dict[str, Any]:
        """``entry`` (the WABA's id), ``field``, ``value`` (metadata, the item's contacts) and ``item``.

        ``entry_time`` (as Meta wrote it) and ``beside`` (undocumented members of the body, the entry and the
        change) if the body had them.
        """
        content: dict[str, Any] = json.loads(self.payload)
        return content

    @property
    def item(self) -> Any:
        """The message, status or other item, as Meta sent it; nearly always a dict."""
        return self.content.get("item")

    @property
    def field(self) -> str:
        return str(self.content.get("field", ""))

    @property
    def phone_number_id(self) -> str | None:
        """The business's number that the event belongs to, by its id."""
        value = self.content.get("value")
        metadata = value.get("metadata") if isinstance(value, dict) else None
        return metadata.get("phone_number_id") if isinstance(metadata, dict) else None

    @property
    def message_id(self) -> str | None:
        """The wamid of the message, or of the message that a status is about."""
        return self._text("id")

    @property
    def sender(self) -> str | None:
        """The user who wrote: the BSUID, else the phone number."""
        return self._text("from_user_id") or self._text("from")

    @property
    def text(self) -> str | None:
        """The text of a text message, else None."""
        item = self.item
        text = item.get("text") if isinstance(item, dict) else None
        body = text.get("body") if isinstance(text, dict) else None
        return body if isinstance(body, str) else None

    def _text(self, name: str) -> str | None:
        item = self.item
        value = item.get(name) if isinstance(item, dict) else None
        return value if isinstance(value, str) else None


class Context:
    """The attempt that runs: its number (from 1) and its transaction."""

    def __init__(self, connection: Connection, attempt: int) -> None:
        self.connection = connection
        self.attempt = attempt

    @cached_property
    def session(self) -> Session:
        """An ORM session inside the transaction that will mark the event done.

        Neverdrop commits it, after the handler returned. ``session.commit()`` only flushes; after
        ``session.rollback()`` nothing of the attempt can be committed any more, so raise instead. For a part
        that may fail use ``session.begin_nested()``.
        """
        return Session(bind=self.connection, join_transaction_mode="rollback_only")

    def close(self) -> None:
        """Send what the session still holds to the database; the transaction stays open."""
        if "session" in self.__dict__:
            self.session.flush()
            self.session.close()
