"""What a test says about one message of the bot's."""

from typing import TYPE_CHECKING, Any

from app.testing.transcript import buttons_of, describe, is_list, text_of

if TYPE_CHECKING:
    from app.dev.graph import ChatMessage
    from app.testing.bot import Bot

FILES = ("image", "video", "audio", "document", "sticker")


class Replied:
    """A message that the bot sent. Each check returns it again, so that checks can be chained."""

    def __init__(self, bot: "Bot", sent: "ChatMessage") -> None:
        self.message: dict[str, Any] = sent.message  # the message object, as Meta got it
        self.status = sent.status
        self._bot = bot
        self._user = sent.user

    @property
    def text(self) -> str | None:
        """Its text, body or caption."""
        return text_of(self.message)

    def buttons(self, *titles: str) -> "Replied":
        """Check that it has these buttons, in this order."""
        __tracebackhide__ = True
        return self._has_taps("buttons", is_list(self.message), titles)

    def rows(self, *titles: str) -> "Replied":
        """Check that it is a list of these rows, in this order."""
        __tracebackhide__ = True
        return self._has_taps("rows", not is_list(self.message), titles)

    def file(self, type_: str, source: str | None = None) -> "Replied":
        """Check that it is an image, video, audio, document or sticker: of this link or media id, if one is given."""
        __tracebackhide__ = True
        if type_ not in FILES:
            raise TypeError(f"one of {', '.join(FILES)}, not {type_!r}")
        part = self.message.get(type_, {})
        if self.message["type"] != type_ or source not in (None, part.get("link"), part.get("id")):
            self._fail(f"expected {type_} {source or ''}".rstrip())
        return self

    def template(self, name: str) -> "Replied":
        """Check that it is the template of this name."""
        __tracebackhide__ = True
        if self.message.get("template", {}).get("name") != name:
            self._fail(f"expected the template {name}")
        return self

    def location(self, latitude: float, longitude: float) -> "Replied":
        """Check that it is this place."""
        __tracebackhide__ = True
        part = self.message.get("location", {})
        if (part.get("latitude"), part.get("longitude")) != (latitude, longitude):
            self._fail(f"expected the location {latitude}, {longitude}")
        return self

    def _has_taps(self, what: str, of_another_kind: bool, titles: tuple[str, ...]) -> "Replied":
        __tracebackhide__ = True
        found = tuple(buttons_of(self.message))
        if of_another_kind or found != titles:
            self._fail(f"expected the {what} {list(titles)}, got {list(found)}")
        return self

    def _fail(self, words: str) -> None:
        __tracebackhide__ = True
        self._bot.fail(f"{words}, in: {describe(self.message)}")
