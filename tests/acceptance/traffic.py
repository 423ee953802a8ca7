"""What is posted to a running pipeline: each item of a number and a user that no other test has."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from app.payload.parse import parse
from tests.helpers.factories import NOW, Json, body, messages, status, statuses, text_message, wire

numbers = count(1)
users = count(1)


@dataclass(frozen=True, slots=True)
class Item:
    """A message or status; ``number`` grows with Meta's timestamp."""

    number: int
    user: int
    raw: Json
    content: Json  # a body that holds it alone
    key: str  # of its event


def message(user: int | None = None, *, type: str = "text", **commands: Any) -> Item:  # noqa: A002
    """A message that tells ``handlers_recorded`` what to do: ``message(sleep=0.1)``; without ``user`` of a new one."""
    number, sender = next(numbers), user or next(users)
    words = " ".join(f"{name} {value}" for name, value in {"number": number, **commands}.items())
    raw = text_message(words, number=number, sender=sender, timestamp=str(NOW + number)) | {"type": type}
    return _item(number, sender, raw, body(messages(raw)))


def status_of(sent: Item, state: str, at: int) -> Item:
    """A status of the message to which ``sent`` is the answer; ``at`` in seconds after it."""
    raw = status(
        state, number=f"out{sent.number}", recipient=sent.user, timestamp=str(NOW + sent.number + at)
    )
    return _item(sent.number, sent.user, raw, body(statuses(raw)))


def _item(number: int, user: int, raw: Json, content: Json) -> Item:
    return Item(number, user, raw, content, parse(wire(content)).events[0].key)


def conversation(length: int, **commands: Any) -> list[Item]:
    """Messages of one new user, in their order."""
    return conversations(1, length, **commands)


def conversations(many: int, length: int, **commands: Any) -> list[Item]:
    """Messages of several new users, by turns."""
    senders = [next(users) for _ in range(many)]
    return [message(user, **commands) for _ in range(length) for user in senders]


def together(sent: Iterable[Item]) -> Json:
    """One body with all of them."""
    items = [each.raw for each in sent]
    return body(
        messages(*(raw for raw in items if "status" not in raw)),
        statuses(*(raw for raw in items if "status" in raw)),
    )
