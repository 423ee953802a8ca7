"""What the stand-in knows: every message that was sent, by whom, and how far it got."""

import itertools
import secrets
import time
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from app.dev.graph import rules

LADDER = ("sent", "delivered", "read")
TYPING_SECONDS = 25


@dataclass(slots=True)
class ChatMessage:
    """A message in a chat: of the bot (``mine`` is False for the user's own)."""

    id: str
    user: str
    number: str
    from_bot: bool
    message: dict[str, Any]
    at: float
    order: int
    callback: str | None = None
    status: str = "accepted"
    reactions: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For the page and for tests."""
        return {
            "id": self.id, "user": self.user, "number": self.number, "from_bot": self.from_bot,
            "message": self.message, "at": self.at, "order": self.order, "callback": self.callback,
            "status": self.status, "reactions": self.reactions,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A file that a user sent."""

    content: bytes
    mime_type: str

    @property
    def announced(self) -> str:
        """The checksum as a webhook has it."""
        return b64encode(sha256(self.content).digest()).decode()


class Chats:
    """All chats of the stand-in, in memory."""

    def __init__(self) -> None:
        self.messages: list[ChatMessage] = []
        self.typing: dict[str, float] = {}  # user → until when the bot types, by ``time.monotonic``
        self.by_id: dict[str, ChatMessage] = {}
        self.media: dict[str, StoredMedia] = {}
        self._orders = itertools.count(1)

    def add(self, user: str, number: str, message: dict[str, Any], *, from_bot: bool,
            callback: str | None = None) -> ChatMessage:  # fmt: skip
        """Add a message; its id looks like one of Meta's."""
        id_ = f"wamid.{b64encode(secrets.token_bytes(33)).decode()}"
        made = ChatMessage(id_, user, number, from_bot, message, time.time(), next(self._orders), callback)
        self.messages.append(made)
        self.by_id[id_] = made
        if from_bot:
            self.typing.pop(user, None)
        return made

    def take(self, number: str, content: dict[str, Any]) -> ChatMessage:
        """Add a message of the bot's by its request; a reaction is seen at the message that it is about."""
        sent = self.add(
            rules.recipient(content), number, rules.message(content), from_bot=True,
            callback=content.get("biz_opaque_callback_data"),
        )  # fmt: skip
        if sent.message.get("type") == "reaction":
            reaction = sent.message["reaction"]
            if (target := self.by_id.get(reaction["message_id"])) is not None:
                target.reactions = [reaction["emoji"]] if reaction["emoji"] else []
        return sent

    def mark_read(self, content: dict[str, Any]) -> None:
        """Mark a user's message as read by the bot's request, which may show that it types."""
        message = self.by_id.get(str(content.get("message_id")))
        if message is not None:
            message.status = "read"
            if content.get("typing_indicator"):
                self.typing[message.user] = time.monotonic() + TYPING_SECONDS

    def add_media(self, content: bytes, mime_type: str) -> str:
        """Keep a file; its id is a number, as Meta's are."""
        id_ = str(secrets.randbelow(10**15) + 10**15)
        self.media[id_] = StoredMedia(content, mime_type)
        return id_

    def after(self, order: int) -> list[dict[str, Any]]:
        """Return the messages behind this order, and those before whose status may have changed."""
        return [each.as_dict() for each in self.messages if each.order > order]

    def types(self, user: str) -> bool:
        """Return whether the bot types to this user now."""
        return self.typing.get(user, 0) > time.monotonic()
