"""Messages are built as Meta wants them, and what Meta would refuse is refused with a sentence."""

from typing import Any

import pytest

from app.graph import InvalidMessage, messages
from app.handlers.sending import build


def test_buttons_may_have_ids_of_their_own() -> None:
    made = messages.buttons("Which?", {"r": "Red"})
    assert made["interactive"]["action"]["buttons"] == [
        {"type": "reply", "reply": {"id": "r", "title": "Red"}}
    ]


def test_rows_of_a_list_are_titles_or_mappings() -> None:
    made = messages.list_("Which?", ["Red", {"id": "b", "title": "Blue", "description": "the sky"}])
    rows = made["interactive"]["action"]["sections"][0]["rows"]
    assert rows == [{"id": "Red", "title": "Red"}, {"id": "b", "title": "Blue", "description": "the sky"}]


def test_media_is_a_link_or_an_id() -> None:
    assert messages.media("image", "https://x/y.png", caption="c")["image"] == {
        "link": "https://x/y.png",
        "caption": "c",
    }
    assert messages.media("document", "123", filename="a.pdf")["document"] == {
        "id": "123",
        "filename": "a.pdf",
    }


def test_any_object_of_the_cloud_api_is_taken_as_it_is() -> None:
    given = {
        "type": "contacts",
        "contacts": [{"name": {"formatted_name": "Ada"}}],
        "context": {"message_id": "wamid.X"},
    }
    assert build(given, {}) == given


def test_a_template_has_a_name_and_a_language() -> None:
    made = build(None, {"template": {"name": "visit", "language": "en_US"}})
    assert made == {"type": "template", "template": {"name": "visit", "language": {"code": "en_US"}}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"text": ""}, "not empty"), ({"text": "x" * 4097}, "4097 characters"), ({"text": None}, "not empty"),
        ({"text": "a", "buttons": []}, "1 to 3"), ({"text": "a", "buttons": ["1", "2", "3", "4"]}, "use list="),
        ({"text": "a", "buttons": ["x" * 21]}, "21 characters"), ({"text": "a", "buttons": ["1", "1"]}, "same id"),
        ({"text": "", "buttons": ["1"]}, "not empty"), ({"text": "x" * 1025, "buttons": ["1"]}, "1025 characters"),
        ({"text": "a", "list": []}, "1 to 10"), ({"text": "a", "list": ["x" * 25]}, "25 characters"),
        ({"text": "a", "list": [{"title": "a", "colour": "red"}]}, "not colour"),
        ({"text": "a", "list": ["b"], "list_button": "x" * 21}, "21 characters"),
        ({"text": "x" * 1025, "image": "https://x"}, "1025 characters"), ({"image": ""}, "a link or a media id"),
        ({"text": "a", "audio": "https://x"}, "no caption"), ({"image": "1", "filename": "a"}, "only a document"),
        ({"location": (91, 0)}, "no place on earth"), ({"template": {"name": "a"}}, "language"),
        ({"text": "a", "buttons": ["1"], "list": ["2"]}, "a reply for each"),
        ({"text": {"type": "text", "text": {"body": "a"}}, "image": "1"}, "one message"),
        ({"text": {"type": "text"}}, "member"), ({"text": {"type": 7}}, "member"),
        ({"text": {"type": "text", "text": {"body": "a"}, "to": "1"}}, "set by Neverdrop"),
    ],
)  # fmt: skip
def test_what_meta_would_refuse_is_refused_with_a_sentence(given: dict[str, Any], words: str) -> None:
    text = given.pop("text", None)
    with pytest.raises(InvalidMessage, match=words):
        build(text, given)
