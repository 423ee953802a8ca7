"""What ``ctx.reply`` and ``ctx.send`` can be given, and the one message that follows from it. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from app.graph import InvalidMessage, Message, messages

MEDIA = messages.MEDIA
MAX_NAME = 500  # characters of a step or cancel_key: an index holds them
STATUSES = ("sent", "delivered")  # that a send can wait for


class MessageContent(TypedDict, total=False):
    """What is sent beside, or instead of, a text: one of these."""

    buttons: Sequence[str] | Mapping[str, str]  # 1 to 3 titles, or id → title
    list: Sequence[str | Mapping[str, str]]  # 1 to 10 rows: titles, or mappings of id, title, description
    list_button: str  # the words on the button that opens the list
    image: str  # an https link or the id of uploaded media, as the next four
    video: str
    audio: str
    document: str
    sticker: str
    filename: str  # of a document
    location: tuple[float, float]  # latitude and longitude in degrees; the text is its name
    template: Mapping[str, Any]  # name, language and components, as Meta has them
    preview_url: bool  # of a text


class SendOptions(TypedDict, total=False):
    """How it is sent."""

    step: str  # the send's name in its handler; by default the number of the call
    after: Literal["sent", "delivered"]  # wait for this status of the send before, at most 5 s
    outside_window: Mapping[str, Any]  # the template that leaves instead when 24 hours have passed
    at: datetime  # not before; without a zone it is UTC
    cancel_key: str  # ctx.cancel takes it back by this until it leaves


class Sending(MessageContent, SendOptions, total=False):
    """All that a call can be given."""


def build(text: str | Mapping[str, Any] | None, given: Sending) -> Message:
    """Build the one message that a call asks for; InvalidMessage if it asks for none or for two."""
    kinds = [name for name in ("buttons", "list", "location", "template", *MEDIA) if name in given]
    if len(kinds) + isinstance(text, Mapping) > 1:
        raise InvalidMessage(
            f"one message is one of these, not {len(kinds)}: {', '.join(kinds)}; use a reply for each"
        )
    if isinstance(text, Mapping):
        return messages.check(text)
    if "buttons" in given:
        return messages.buttons(text or "", given["buttons"])
    if "list" in given:
        return messages.list_(text or "", given["list"], button=given.get("list_button", "Choose"))
    if "location" in given:
        return messages.location(*given["location"], name=text)
    if "template" in given:
        return template(given["template"])
    for kind in kinds:
        source = {**given}[kind]
        return messages.media(kind, str(source), caption=text, filename=given.get("filename"))
    return messages.text(text or "", preview_url=given.get("preview_url", False))


def template(given: Mapping[str, Any]) -> Message:
    """Build a template's message from its object, or from one of name and a language that is a text."""
    if given.get("type") == "template":
        return messages.check(given)
    language = given.get("language")
    code = language.get("code") if isinstance(language, Mapping) else language
    return messages.template(str(given.get("name") or ""), str(code or ""), given.get("components") or ())


def check(given: SendOptions) -> None:
    """Raise InvalidMessage for an option that cannot be kept."""
    for name in ("step", "cancel_key"):
        value = given.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= MAX_NAME):
            raise InvalidMessage(f"{name}= is a text of at most {MAX_NAME} characters")
    if given.get("after") not in (None, *STATUSES):
        raise InvalidMessage(f"after= is {' or '.join(STATUSES)}")


def due_at(given: SendOptions) -> datetime | None:
    """Return when it is to leave, in UTC; None for at once."""
    at = given.get("at")
    if at is None:
        return None
    if not isinstance(at, datetime):
        raise InvalidMessage(f"at= is a datetime, not {type(at).__name__}")
    try:
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError as error:
        raise InvalidMessage("at= is beyond the years that there are") from error


def reply_names() -> frozenset[str]:
    """Return the names of everything that ``ctx.reply`` can be given beside the text."""
    return frozenset(Sending.__annotations__)
