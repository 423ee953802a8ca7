"""Message objects of the Cloud API, built and checked before they are stored. Pure: no I/O.

Lengths and numbers are those of Meta's pages on each type of message, 2026-11. What Meta would refuse is an
InvalidMessage that says what to change; what only Meta can know (does the template exist?) is left to Meta.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import Permanent

Message = dict[str, Any]

MAX_TEXT = 4096
MAX_BODY = 1024
MAX_CAPTION = 1024
MAX_BUTTONS = 3
MAX_BUTTON = 20
MAX_BUTTON_ID = 256
MAX_ROWS = 10
MAX_ROW_TITLE = 24
MAX_ROW_DESCRIPTION = 72
MAX_LIST_BUTTON = 20
MEDIA = ("image", "video", "audio", "document", "sticker")
WITHOUT_CAPTION = ("audio", "sticker")
TYPES = frozenset(
    ("text", "interactive", "template", "location", "contacts", "reaction", *MEDIA)
)  # of which each has a member of the same name
# What the outbox sets itself
RESERVED = ("messaging_product", "recipient_type", "to", "recipient", "biz_opaque_callback_data")


class InvalidMessage(Permanent, ValueError):
    """Meta would refuse the message: the text says why, and what to change."""


def text(body: str, *, preview_url: bool = False) -> Message:
    """A text of 1 to 4,096 characters."""
    _length("the text", body, MAX_TEXT)
    return {"type": "text", "text": {"body": body, "preview_url": preview_url}}


def buttons(body: str, titles: Sequence[str] | Mapping[str, str]) -> Message:
    """A text with 1 to 3 reply buttons: titles, which are their ids as well, or id → title."""
    _length("the text above buttons", body, MAX_BODY)
    pairs = list(titles.items()) if isinstance(titles, Mapping) else [(title, title) for title in titles]
    if not 1 <= len(pairs) <= MAX_BUTTONS:
        raise InvalidMessage(
            f"a message has 1 to {MAX_BUTTONS} buttons, not {len(pairs)}: use list= for more"
        )
    for id_, title in pairs:
        _length("a button's title", title, MAX_BUTTON)
        _length("a button's id", id_, MAX_BUTTON_ID)
    _distinct("buttons", [id_ for id_, _ in pairs], [title for _, title in pairs])
    replies = [{"type": "reply", "reply": {"id": id_, "title": title}} for id_, title in pairs]
    return _interactive("button", body, {"buttons": replies})


def list_(body: str, rows: Sequence[str | Mapping[str, str]], *, button: str = "Choose") -> Message:
    """A text with a list of 1 to 10 rows: titles, or mappings of id, title and description."""
    _length("the text above a list", body, MAX_TEXT)
    _length("a list's button", button, MAX_LIST_BUTTON)
    if not 1 <= len(rows) <= MAX_ROWS:
        raise InvalidMessage(f"a list has 1 to {MAX_ROWS} rows, not {len(rows)}")
    made = [_row(row) for row in rows]
    _distinct("rows", [row["id"] for row in made])
    return _interactive("list", body, {"button": button, "sections": [{"rows": made}]})


def media(kind: str, source: str, *, caption: str | None = None, filename: str | None = None) -> Message:
    """An image, video, audio, document or sticker: ``source`` is an https link or the id of uploaded media."""
    if kind not in MEDIA:
        raise InvalidMessage(f"{kind!r} is no type of media; these are: {', '.join(MEDIA)}")
    if not source:
        raise InvalidMessage(f"{kind} needs a link or a media id")
    is_link = source.startswith(("https://", "http://"))
    content = {"link" if is_link else "id": source}
    if caption is not None:
        if kind in WITHOUT_CAPTION:
            raise InvalidMessage(f"{kind} has no caption: send the text by a reply of its own")
        _length("a caption", caption, MAX_CAPTION)
        content["caption"] = caption
    if filename is not None:
        if kind != "document":
            raise InvalidMessage(f"only a document has a filename, not {kind}")
        content["filename"] = filename
    return {"type": kind, kind: content}


def template(name: str, language: str, components: Sequence[Mapping[str, Any]] = ()) -> Message:
    """An approved template; ``components`` as in Meta's documentation."""
    if not name or not language:
        raise InvalidMessage("a template needs its name and its language, such as en_US")
    content: Message = {"name": name, "language": {"code": language}}
    if components:
        content["components"] = [dict(component) for component in components]
    return {"type": "template", "template": content}


def location(
    latitude: float, longitude: float, *, name: str | None = None, address: str | None = None
) -> Message:
    """A place on the map, in degrees."""
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        raise InvalidMessage(f"no place on earth: latitude {latitude}, longitude {longitude}")
    content: Message = {"latitude": latitude, "longitude": longitude}
    content |= {key: value for key, value in (("name", name), ("address", address)) if value}
    return {"type": "location", "location": content}


def reaction(message_id: str, emoji: str) -> Message:
    """An emoji on a message of the user's; an empty one takes it away."""
    if not message_id:
        raise InvalidMessage("a reaction needs the message that it is to: this event has none")
    return {"type": "reaction", "reaction": {"message_id": message_id, "emoji": emoji}}


def check(message: Mapping[str, Any]) -> Message:
    """Return any message object of the Cloud API as it is stored; InvalidMessage for what is surely none."""
    type_ = message.get("type", "text")
    if not isinstance(type_, str) or not isinstance(message.get(type_), Mapping | list):
        raise InvalidMessage(
            f'a message of type {type_!r} needs a member "{type_}": see Meta\'s documentation'
        )
    reserved = [name for name in RESERVED if name in message]
    if reserved:
        raise InvalidMessage(
            f"{', '.join(reserved)} is set by Neverdrop: leave it out, and use to= for another recipient"
        )
    if type_ == "text":
        content = message["text"]
        _length("the text", content.get("body") if isinstance(content, Mapping) else None, MAX_TEXT)
    return {**message, "type": type_}


def is_media(message: Mapping[str, Any]) -> bool:
    """Return whether the message is slow to deliver, so that what follows could overtake it."""
    return message.get("type") in MEDIA


def _interactive(type_: str, body: str, action: Message) -> Message:
    return {"type": "interactive", "interactive": {"type": type_, "body": {"text": body}, "action": action}}


def _row(row: str | Mapping[str, str]) -> dict[str, str]:
    given = {"title": row} if isinstance(row, str) else dict(row)
    unknown = set(given) - {"id", "title", "description"}
    if unknown:
        raise InvalidMessage(f"a row has id, title and description, not {', '.join(sorted(unknown))}")
    _length("a row's title", given.get("title"), MAX_ROW_TITLE)
    if "description" in given:
        _length("a row's description", given["description"], MAX_ROW_DESCRIPTION)
    return {"id": given.get("id") or given["title"], **given}


def _length(what: str, value: object, most: int) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidMessage(f"{what} must be a text that is not empty, not {type(value).__name__}")
    if len(value) > most:
        raise InvalidMessage(f"{what} has {len(value)} characters; Meta takes {most} at most")


def _distinct(what: str, *lists: Sequence[str]) -> None:
    for values in lists:
        if len(set(values)) != len(values):
            raise InvalidMessage(f"two {what} of one message have the same id or title")
