"""What a handler is given: the event, and the transaction that will mark its job done."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Unpack, cast

from sqlalchemy import Connection, NestedTransaction
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.graph import messages
from app.handlers.dialog import Dialog
from app.handlers.media import Media
from app.handlers.outlet import Outbox, Outlet
from app.handlers.pausing import Meanwhile, WantedPause, want
from app.handlers.replies import Replies, Text
from app.handlers.sending import Sending, SendOptions
from app.stores import TransactionError


@dataclass(frozen=True)
class Event:
    """One message, status or other item. ``item`` is what Meta sent, untouched."""

    id: int
    key: str
    kind: str  # message, status, payment_status, call_status, other, or timeout (of an expectation)
    type: str  # the message's type, the status's value, the field's name, or the expectation's
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
    """The attempt that runs: its number (from 1), its transaction, and what it sends.

    ``replayed``: a person had the event run again; the handler may have seen it before.
    """

    def __init__(
        self,
        connection: Connection,
        attempt: int,
        event: Event,
        handler: str,
        wake_senders: Callable[[], object] = lambda: None,
        *,
        replayed: bool = False,
        sends_again_as: int | None = None,
        dialog: Dialog | None = None,
        outlet: Outlet | None = None,
        in_group: bool = False,
    ) -> None:
        self.connection = connection
        self._in_group = in_group  # the transaction is that of other handlers too
        self._nested: NestedTransaction | None = None
        self.attempt = attempt
        self.replayed = replayed
        self.dialog = dialog or Dialog()
        self.wanted_pauses: list[WantedPause] = []
        self._replies = Replies(connection, event, handler, wake_senders, outlet or Outbox(), sends_again_as)

    @cached_property
    def session(self) -> Session:
        """An ORM session inside the transaction that will mark the job done.

        Neverdrop commits it, after the handler returned. ``session.commit()`` only flushes; after
        ``session.rollback()`` nothing of the attempt can be committed any more, so raise instead. For a part
        that may fail use ``session.begin_nested()``.
        """
        if self._in_group:
            # An error in a flush ends this, and not the group's
            self._nested = self.connection.begin_nested()
        return Session(bind=self.connection, join_transaction_mode="rollback_only")

    @property
    def state(self) -> Any:
        """Return a JSON value of the conversation and lane name, at first an empty dict: change it, or set another.

        It is committed with the job. InvalidDialog, a ``Permanent``, for what is no JSON or has more than 32 KiB.
        """
        return self.dialog.state

    @state.setter
    def state(self, value: Any) -> None:
        self.dialog.state = value

    def expect(self, name: str, timeout: timedelta | float | None = None) -> None:
        """Have the conversation's next message run by ``@on_answer(name)``, once this handler has committed.

        ``timeout``: seconds, or a timedelta, after which ``@on_timeout(name)`` runs instead.
        """
        self.dialog.expect(name, timeout)

    def pause(
        self,
        for_: timedelta | float | None = None,
        *,
        why: str = "",
        meanwhile: Meanwhile = "keep",
        lane: str | None = None,
    ) -> None:
        """Let a person take over, once this handler has committed: the conversation's later events wait.

        ``for_``: seconds, or a timedelta, after which it is resumed by itself. ``meanwhile``: messages that come until
        then are run afterwards (``keep``), or ended as seen by a person (``skip``). ``lane``: the name of another lane
        than the handler's.
        """
        self.wanted_pauses.append(want(for_, why, meanwhile, lane))

    def reply(self, text: Text = None, **given: Unpack[Sending]) -> bool:
        """Send a message to the event's user, once this handler has committed; return whether the step is new.

        A text, a message object of the Cloud API as a dict, or what ``Sending`` names. InvalidMessage, a
        ``Permanent``, where Meta would refuse it.
        """
        return self._replies.reply(text, given)

    def reply_now(self, text: Text = None, **given: Unpack[Sending]) -> bool:
        """Send a message now, whatever becomes of this attempt ("one moment ..."): once for each step."""
        return self._replies.reply_now(text, given)

    def react(self, emoji: str, **options: Unpack[SendOptions]) -> bool:
        """React to the event's message; an empty emoji takes the reaction away."""
        return self._replies.reply(messages.reaction(self._replies.message_id, emoji), cast(Sending, options))

    def send(
        self, to: str, text: Text = None, *, number: str | None = None, **given: Unpack[Sending]
    ) -> bool:
        """Send a message to a phone number or user id, once this handler has committed; as ``reply``.

        ``number``: the phone_number_id that it is sent from, by default the event's.
        """
        return self._replies.send(to, text, number, given)

    def cancel(self, cancel_key: str) -> int:
        """Take back what was sent with this ``cancel_key`` and has not left; return how many."""
        return self._replies.cancel(cancel_key)

    def typing(self) -> None:
        """Show the user that somebody types, until the handler ends; at once, and it may be lost."""
        self._replies.typing()

    def mark_read(self) -> None:
        """Show the user that the message was read; at once, and it may be lost."""
        self._replies.mark_read()

    def media(self) -> Media | None:
        """Return the file that the event's message brought, to read, save or store; None where it brought none."""
        return self._replies.media()

    @property
    def window_closes_at(self) -> datetime | None:
        """When Meta stops taking anything but templates for this user; None where no message of the user's is known."""
        return self._replies.window_closes_at

    @property
    def has_sends(self) -> bool:
        """Whether something is to leave once the transaction has committed."""
        return self._replies.written

    def close(self) -> None:
        """Send what the session still holds to the database; the transaction stays open."""
        if "session" in self.__dict__:
            self.session.flush()
            self.session.close()
        if self._nested is not None:
            if not self._nested.is_active:
                raise TransactionError(
                    "the handler rolled back the transaction that was to commit its effects"
                )
            self._nested.commit()

    def end(self) -> None:
        """End what runs beside the handler, however it ended."""
        self._replies.close()
        if self._nested is not None:
            with suppress(DBAPIError):  # it died: then nothing is left to be rolled back
                self._nested.close()
