"""What was said in a conversation, in words: by the user, by a person of the business, and by the bot."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from app.payload import own_phone_of

Side = Literal["user", "person", "bot"]
USER: Side = "user"
PERSON: Side = "person"
BOT: Side = "bot"


@dataclass(frozen=True, slots=True)
class Said:
    """One message: who wrote it, its type, its words ("" for a picture without any), and what it lets people choose."""

    side: Side
    type: str
    words: str
    choices: tuple[str, ...] = ()


def said_in(key: str, payload: str) -> Said | None:
    """Return what an event says; None for one that is no message. ``key`` and ``payload`` are the event's."""
    prefix = key.partition(":")[0].rpartition(".")[2]
    if prefix not in ("message", "echo"):
        return None
    content = json.loads(payload)
    item = content.get("item")
    if not isinstance(item, dict):
        return None
    if prefix == "message":
        return said(PERSON if _is_ours(content.get("value"), item) else USER, item)
    sent = item.get("message")  # in standby an echo holds the body of the send
    return said(PERSON, sent if isinstance(sent, dict) else item)


def _is_ours(value: Any, item: dict[str, Any]) -> bool:
    """Whether the business wrote a message, as in a history."""
    return own_phone_of(value.get("metadata") if isinstance(value, dict) else None) == item.get("from")


def said(side: Side, message: dict[str, Any]) -> Said:
    """Return what a message object of the Cloud API says, of either direction; any shape is taken."""
    type_ = str(message.get("type", "text" if "text" in message else "unknown"))
    part = message.get(type_)
    if isinstance(part, list):  # contacts
        return Said(side, type_, ", ".join(filter(None, map(_contact_name, part))))
    if not isinstance(part, dict):
        return Said(side, type_, "")
    if type_ == "interactive":
        return _interactive(side, part)
    words = [
        part.get(name)
        for name in ("body", "text", "caption", "filename", "emoji", "name", "address", "title")
    ]
    if type_ == "location":
        words += [part.get("latitude"), part.get("longitude")]
    return Said(side, type_, " ".join(str(word) for word in words if isinstance(word, str | int | float)))


def _interactive(side: Side, part: dict[str, Any]) -> Said:
    """What a user tapped, or what the bot asks and the titles to tap."""
    for name in ("button_reply", "list_reply"):
        if isinstance(tapped := part.get(name), dict):
            return Said(side, name, str(tapped.get("title", "")))
    body, action = part.get("body"), part.get("action")
    words = str(body.get("text", "")) if isinstance(body, dict) else ""
    return Said(side, "interactive", words, tuple(_titles(action)))


def _titles(action: Any) -> list[str]:
    if not isinstance(action, dict):
        return []
    buttons = [button.get("reply") for button in _objects(action.get("buttons"))]
    rows = [row for section in _objects(action.get("sections")) for row in _objects(section.get("rows"))]
    return [str(each["title"]) for each in (*_objects(buttons), *rows) if "title" in each]


def _contact_name(contact: Any) -> str:
    name = contact.get("name") if isinstance(contact, dict) else None
    return str(name.get("formatted_name", "")) if isinstance(name, dict) else ""


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
