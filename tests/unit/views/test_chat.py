"""What messages of either direction say, in words."""

from typing import Any

import pytest

from app.payload import parse
from app.views import BOT, Said, said, said_in
from tests.helpers import factories as f

BUTTONS = {"buttons": [{"type": "reply", "reply": {"id": "y", "title": "Yes"}}, {"reply": {"title": "No"}}]}
ROWS = {"sections": [{"rows": [{"id": "1", "title": "Red"}, {"id": "2", "title": "Blue"}]}]}


def said_by(*changes: f.Json) -> list[Said | None]:
    return [said_in(event.key, event.payload) for event in parse(f.wire(f.body(*changes))).events]


@pytest.mark.parametrize(
    ("message", "type_", "words", "choices"),
    [
        ({"type": "text", "text": {"body": "hi"}}, "text", "hi", ()),
        ({"text": {"body": "hi"}}, "text", "hi", ()),
        ({"type": "image", "image": {"id": "1"}}, "image", "", ()),
        (
            {"type": "document", "document": {"caption": "bill", "filename": "a.pdf"}},
            "document",
            "bill a.pdf",
            (),
        ),
        ({"type": "location", "location": {"name": "Shop", "latitude": 1.5}}, "location", "Shop 1.5", ()),
        ({"type": "contacts", "contacts": [{"name": {"formatted_name": "Ada"}}, 7]}, "contacts", "Ada", ()),
        ({"type": "template", "template": {"name": "bill"}}, "template", "bill", ()),
        (
            {"type": "interactive", "interactive": {"body": {"text": "Well?"}, "action": BUTTONS}},
            "interactive",
            "Well?",
            ("Yes", "No"),
        ),
        ({"type": "interactive", "interactive": {"action": ROWS}}, "interactive", "", ("Red", "Blue")),
        ({"type": "interactive", "interactive": {"list_reply": {"title": "Red"}}}, "list_reply", "Red", ()),
        ({"type": "interactive", "interactive": {"action": [7], "body": None}}, "interactive", "", ()),
        ({"type": "tomorrow", "tomorrow": 7}, "tomorrow", "", ()),
        ({}, "unknown", "", ()),
    ],
)
def test_each_type_says_what_people_would_read(
    message: dict[str, Any], type_: str, words: str, choices: tuple[str, ...]
) -> None:
    assert said(BOT, message) == Said(BOT, type_, words, choices)


def test_users_and_people_of_the_business_are_told_apart() -> None:
    ours = f.text_message("ours", **{"from": "15550009000", "to": f.phone(1)})
    assert said_by(f.messages(f.text_message("theirs")), f.echoes(f.echo("from the phone"))) == [
        Said("user", "text", "theirs"),
        Said("person", "text", "from the phone"),
    ]
    assert said_by(f.standby(message_echoes=[f.standby_echo("passed on")])) == [
        Said("person", "text", "passed on")
    ]
    assert said_by(f.messages(ours)) == [Said("person", "text", "ours")]


def test_what_is_no_message_says_nothing() -> None:
    assert said_by(f.statuses(f.status()), f.calls(f.call()), f.messages(7)) == [None, None, None]
