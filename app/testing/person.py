"""A user who writes to the bot under test."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.testing.transcript import buttons_of, is_list

if TYPE_CHECKING:
    from app.testing.bot import Bot

MIME_TYPES = {
    "image": "image/jpeg", "video": "video/mp4", "audio": "audio/ogg", "document": "application/pdf",
    "sticker": "image/webp",
}  # fmt: skip


class Person:
    """One user, by phone number."""

    def __init__(self, bot: "Bot", phone: str, name: str, number: str) -> None:
        self.phone = phone
        self.name = name
        self.number = number  # the phone_number_id of the business that this user writes to
        self._bot = bot

    def sends(self, text: str | Mapping[str, Any] | None = None, **files: bytes | str | Path) -> None:
        """Write to the bot: a text, a message's own members as Meta has them, or a file.

        ``ada.sends("hi")``, ``ada.sends("a caption", image=b"...")``, ``ada.sends({"type": "location", "location":
        {...}})``. A file is bytes, or a path.
        """
        if isinstance(text, Mapping):
            self._bot.receive(self, dict(text))
            return
        if not files:
            self._bot.receive(self, {"type": "text", "text": {"body": text or ""}})
            return
        if len(files) > 1 or (unknown := set(files) - set(MIME_TYPES)):
            raise TypeError(f"one of {', '.join(MIME_TYPES)} at a time, not {', '.join(unknown or files)}")
        ((type_, source),) = files.items()
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        part = self._file(content, MIME_TYPES[type_])
        self._bot.receive(self, {"type": type_, type_: part | ({"caption": text} if text else {})})

    def taps(self, title: str) -> None:
        """Tap a button, or choose a row, of the newest message that has one with this title."""
        __tracebackhide__ = True
        for sent in reversed(self._bot.sent_to(self)):
            found = buttons_of(sent.message).get(title)
            if found is not None:
                kind = "list_reply" if is_list(sent.message) else "button_reply"
                interactive = {"type": kind, kind: found}
                self._bot.receive(self, {"type": "interactive", "interactive": interactive})
                return
        self._bot.fail(f"{self.name} was sent nothing with {title!r} to tap")

    def reacts(self, emoji: str) -> None:
        """React to the bot's newest message."""
        __tracebackhide__ = True
        sent = self._bot.sent_to(self)
        if not sent:
            self._bot.fail(f"{self.name} was sent nothing to react to")
        self._bot.receive(self, {"type": "reaction", "reaction": {"message_id": sent[-1].id, "emoji": emoji}})

    def _file(self, content: bytes, mime_type: str) -> dict[str, str]:
        digest = b64encode(sha256(content).digest()).decode()
        return {
            "id": self._bot.meta.chats.add_media(content, mime_type),
            "mime_type": mime_type,
            "sha256": digest,
        }
