"""What a handler reads from its event, whatever Meta sent."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.handlers import Event
from tests.helpers import factories as f
from tests.helpers.parsing import only

WHEN = datetime(2026, 9, 1, tzinfo=UTC)


def event(payload: str, kind: str = "message", type_: str = "text") -> Event:
    return Event(1, "key", kind, type_, None, WHEN, WHEN, False, payload)


def event_of(change: f.Json) -> Event:
    parsed = only(change)
    return event(parsed.payload, parsed.kind, parsed.type)


def test_a_text_message_is_at_hand_with_its_sender_and_number() -> None:
    found = event_of(f.messages(f.text_message("hello", number=5, sender=2), contacts=[f.contact(2)]))
    assert (found.text, found.message_id, found.sender) == ("hello", f.wamid(5), f.user_id(2))
    assert (found.phone_number_id, found.field) == (f.PHONE_NUMBER_ID, "messages")


def test_the_item_is_what_meta_sent() -> None:
    sent = f.message("button", button={"text": "Yes \u00e9 \x00", "payload": None}, number=5)
    assert event_of(f.messages(sent)).item == sent


def test_a_sender_without_a_user_id_goes_by_the_phone() -> None:
    assert event_of(f.messages(f.text_message(sender=3, from_user_id=None))).sender == f.phone(3)


def test_a_status_names_the_message_that_it_is_about() -> None:
    assert event_of(f.statuses(f.status("read", number=9))).message_id == f.wamid(9)


def test_a_message_that_is_no_text_has_no_text() -> None:
    assert event_of(f.messages(f.message("image", image={"id": "1"}))).text is None


@pytest.mark.parametrize(
    "content", [{}, {"item": None, "value": None}, {"item": [1], "value": {"metadata": 5}}]
)
@pytest.mark.parametrize("name", ["text", "message_id", "sender", "phone_number_id"])
def test_what_is_not_there_is_none(content: Any, name: str) -> None:
    assert getattr(event(json.dumps(content)), name) is None


@pytest.mark.parametrize("item", [{"text": "bare"}, {"text": {"body": 5}}, {"text": None}])
def test_a_text_of_another_shape_is_none(item: Any) -> None:
    assert event(json.dumps({"item": item})).text is None
