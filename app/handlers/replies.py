"""What a handler sends: rows of the outbox in its transaction, and signals that go out at once."""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import Connection

from app import graph
from app.graph import InvalidMessage, NoToken, messages
from app.handlers import media, sending
from app.handlers.media import Media
from app.handlers.outlet import Outlet
from app.handlers.sending import Sending
from app.outbox import Address, NewSend, of_item, parse
from config.logging import get_logger

if TYPE_CHECKING:
    from app.handlers.context import Event

WINDOW = timedelta(hours=24)
TYPING: Mapping[str, Any] = {"typing_indicator": {"type": "text"}}
TYPING_SECONDS = 20.0  # Meta takes an indicator away after 25
TYPING_REPEATS = 15
AFTER_MEDIA = "sent"  # or a text could overtake the picture before it

log = get_logger(__name__)

Text = str | Mapping[str, Any] | None


class Replies:
    """The sends of one attempt. Their steps are numbered in the order of the calls unless ``step=`` names them."""

    def __init__(
        self,
        connection: Connection,
        event: "Event",
        handler: str,
        wake: Callable[[], object],
        outlet: Outlet,
        sends_again_as: int | None = None,
    ) -> None:
        self._sends_again_as = sends_again_as
        self._outlet = outlet
        self._connection = connection
        self._event = event
        self._handler = handler
        self._wake = wake
        self._calls = 0
        self._typing: threading.Event | None = None
        self.written = False  # whether senders are to be woken after the commit

    def reply(self, text: Text, given: Sending) -> bool:
        """Write a message to the event's user; return whether this step is new."""
        return self._write(self._to_user(text, given))

    def reply_now(self, text: Text, given: Sending) -> bool:
        """Write a message in a commit of its own, so that it leaves while the handler runs; whether the step is new."""
        is_new = self._outlet.write_now(self._to_user(text, given))
        if is_new:
            self._wake()
        return is_new

    def send(self, to: str, text: Text, number: str | None, given: Sending) -> bool:
        """Write a message to anybody; return whether this step is new."""
        address = parse(to)
        number = number or self._number()
        found = self._outlet.find_conversation(self._connection, number, address.recipient)
        conversation, wrote_at = found or (f"{number}/{address.recipient}", None)
        closes_at = wrote_at + WINDOW if wrote_at else None
        return self._write(self._new(text, given, number, conversation, address, closes_at))

    @property
    def message_id(self) -> str:
        """The id of the event's message; InvalidMessage where it has none."""
        if self._event.message_id is None or self._event.kind != "message":
            raise InvalidMessage("only a message can be reacted to, marked as read or answered by typing")
        return self._event.message_id

    def media(self) -> Media | None:
        """Return the file of the event's message; None where it has none."""
        return media.of_item(self._event.item, self._event.phone_number_id)

    def cancel(self, key: str) -> int:
        """Cancel what was sent with this ``cancel_key`` and has not left; return how many, if the handler commits."""
        return self._outlet.cancel(self._connection, self._number(), key)

    @property
    def window_closes_at(self) -> datetime | None:
        """When Meta stops taking anything but templates for this user; None where no message of the user's is known."""
        if self._event.kind == "message":
            return self._event.occurred_at + WINDOW
        address, number = self._address(), self._event.phone_number_id
        found = (
            self._outlet.find_conversation(self._connection, number, address.recipient)
            if address and number
            else None
        )
        return found[1] + WINDOW if found and found[1] else None

    def mark_read(self) -> None:
        """Show the user that the message was read. Goes out at once, and may be lost."""
        self._signal({})

    def typing(self) -> None:
        """Show the user that somebody types, until the handler ends. Goes out at once, and may be lost.

        A thread of its own repeats it: Meta takes it away after 25 s, and the thread that renews claims must not
        wait for Meta.
        """
        if self._typing is None and self._signal(TYPING):
            self._typing = threading.Event()
            threading.Thread(target=self._repeat_typing, args=(self._typing,), daemon=True).start()

    def close(self) -> None:
        """End the typing indicator's thread."""
        if self._typing is not None:
            self._typing.set()

    def _write(self, send: NewSend) -> bool:
        is_new = self._outlet.write(self._connection, send)
        self.written = self.written or is_new
        return is_new

    def _to_user(self, text: Text, given: Sending) -> NewSend:
        address = self._address()
        if address is None:
            raise InvalidMessage(f"a {self._event.kind} of type {self._event.type} has no user to reply to")
        number = self._number()
        conversation = self._event.conversation or f"{number}/{address.recipient}"
        return self._new(text, given, number, conversation, address, self.window_closes_at)

    def _new(
        self, text: Text, given: Sending, number: str, conversation: str, address: Address,
        window_closes_at: datetime | None,
    ) -> NewSend:  # fmt: skip
        self._calls += 1
        sending.check(given)
        body = sending.build(text, given)
        outside = given.get("outside_window")
        return NewSend(
            event_id=self._event.id,
            handler=self._handler,
            step=self._step(given.get("step") or str(self._calls)),
            number=number,
            conversation=conversation,
            address=address,
            body=body,
            outside_window=sending.template(outside) if outside else None,
            window_closes_at=None if body["type"] == "template" else window_closes_at,
            due_at=sending.due_at(given),
            cancel_key=given.get("cancel_key"),
            delays_next=AFTER_MEDIA if messages.is_media(body) else None,
            after=given.get("after"),
        )

    def _step(self, step: str) -> str:
        """Return a step as it is kept: once for the event, or once for a replay that sends again."""
        return step if self._sends_again_as is None else f"{step} (replay {self._sends_again_as})"

    def _address(self) -> Address | None:
        return of_item(self._event.kind, self._event.item)

    def _number(self) -> str:
        number = self._event.phone_number_id
        if not number:
            raise InvalidMessage("this event names no number of ours that a message could be sent from")
        return number

    def _signal(self, more: Mapping[str, Any]) -> bool:
        """Mark the message as read, with more; return whether there is a token to do it with."""
        body = {"messaging_product": "whatsapp", "status": "read", "message_id": self.message_id, **more}
        try:
            graph.signal(self._number(), body)
        except (NoToken, httpx.HTTPError) as error:
            log.info("signal.lost", event_id=self._event.id, error=type(error).__name__)
            return not isinstance(error, NoToken)
        return True

    def _repeat_typing(self, ended: threading.Event) -> None:
        for _ in range(TYPING_REPEATS):
            if ended.wait(TYPING_SECONDS):
                return
            self._signal(TYPING)
