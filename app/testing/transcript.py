"""A conversation as a person reads it, for the words of a failed test. Pure: no I/O."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def text_of(message: Json) -> str | None:
    """Return the words of a message object: its text, body or caption; None where it has none."""
    type_ = message.get("type")
    part = message.get(str(type_))
    if not isinstance(part, dict):
        return None
    words = part.get("body") or part.get("caption") or part.get("name")
    if type_ == "interactive":
        body = part.get("body")
        words = body.get("text") if isinstance(body, dict) else None
    return words if isinstance(words, str) and type_ != "template" else None


def buttons_of(message: Json) -> dict[str, Json]:
    """Return title → what a tap on it sends, of the buttons of a message, or of the rows of its list."""
    interactive = message.get("interactive")
    action = interactive.get("action", {}) if isinstance(interactive, dict) else {}
    buttons = [each["reply"] for each in action.get("buttons", ())]
    rows = [row for section in action.get("sections", ()) for row in section["rows"]]
    return {each["title"]: each for each in (*buttons, *rows)}


def is_list(message: Json) -> bool:
    """Return whether what can be tapped are rows of a list."""
    interactive = message.get("interactive")
    return isinstance(interactive, dict) and interactive.get("type") == "list"


def describe(message: Json) -> str:
    """Return a message in one line."""
    type_ = str(message.get("type"))
    part = message.get(type_)
    if type_ == "reaction" and isinstance(part, dict):
        return f"reacts {part.get('emoji') or 'no more'}"
    if type_ == "template" and isinstance(part, dict):
        return f"(template {part.get('name')})"
    if type_ == "interactive" and isinstance(part, dict):
        tapped = part.get("button_reply") or part.get("list_reply")
        if tapped:
            return f"taps [{tapped.get('title')}]"
    words = text_of(message)
    taps = "".join(f" [{title}]" for title in buttons_of(message))
    kind = "" if type_ in ("text", "interactive") else f"({type_}) "
    return f"{kind}{words or ''}{taps}".rstrip()


def chat(lines: Iterable[tuple[str, str]]) -> str:
    """Return lines of (who, what) as a chat."""
    rows = list(lines)
    width = max((len(who) for who, _ in rows), default=0)
    inside = [f"  {who:<{width}}  {what}".replace("\n", f"\n  {'':<{width}}  ") for who, what in rows]
    return "\n".join(["the conversation:", *(inside or ["  (nobody has said anything)"])])
