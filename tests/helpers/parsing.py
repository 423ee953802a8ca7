"""Shorthands of the tests that look at what a body is split into."""

from typing import Any

from app.payload.parse import ParsedEvent, parse
from tests.helpers import factories as f

CONVERSATION = f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}"


def split(*changes: Any) -> list[ParsedEvent]:
    """The events of one entry with these changes."""
    return events(f.body(*changes))


def events(body: Any) -> list[ParsedEvent]:
    """The events of a body that must be readable."""
    parsed = parse(body if isinstance(body, bytes) else f.wire(body))
    assert parsed.unreadable is None
    return parsed.events


def only(*changes: Any) -> ParsedEvent:
    (event,) = split(*changes)
    return event


def names(event: ParsedEvent) -> list[str]:
    """The aliases without their account."""
    assert all(alias.startswith(f"{f.PHONE_NUMBER_ID}/") for alias in event.aliases)
    return [alias.split("/", 1)[1] for alias in event.aliases]


def keys(body: Any) -> list[str]:
    return [event.key for event in events(body)]
