"""Whatever is planted in a log line never comes out."""

import json
import logging
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.masking import (
    hiding,
    mask_text,
)
from tests.unit.config.lines import PHONE, log, use, written

pytestmark = pytest.mark.usefixtures("configured")


digits = st.text("0123456789", min_size=6, max_size=14).map(lambda rest: f"1{rest}")

wamids = st.text("ABCDEFGHabcdefgh0123456789+/", min_size=8, max_size=60).map(lambda code: f"wamid.{code}")

words = st.text("abcdefghijklmnopqrstuvwxyzäöü ", max_size=20).map(lambda text: f"{text} ")

texts = st.text(min_size=6, max_size=60).map(str.strip).filter(lambda text: len(text) > 5)


# Properties: whatever is planted never comes out


def grouped(number: str) -> str:
    return " ".join(number[i : i + 3] for i in range(0, len(number), 3))


def every_way(planted: str) -> None:
    """A text in each place of a line where it may get."""
    try:
        try:
            dict[str, str]()[planted]
        except KeyError as inner:
            raise RuntimeError(f"cannot handle {planted} today") from inner
    except RuntimeError as error:
        error.add_note(f"it was {planted}")
        log.exception("event.failed_attempt", error=error)
        log.error("event.dead", error=f"RuntimeError: no {planted} today", detail=[{"a": (planted, error)}])
        logging.getLogger("celery.app.trace").error("raised %r for %s", error, planted, exc_info=True)  # noqa: G201


@settings(deadline=None, max_examples=50)
@given(digits, words, words)
def test_no_phone_number_comes_out(number: str, before: str, after: str) -> None:
    for shape in (number, f"+{number}", grouped(number)):
        shown = written(partial(every_way, f"{before}{shape} {after}"))
        assert shape not in shown
        assert number not in shown


@settings(deadline=None, max_examples=50)
@given(wamids, words, words)
def test_no_wamid_comes_out(wamid: str, before: str, after: str) -> None:
    assert wamid not in written(lambda: every_way(f"{before}{wamid} {after}"))


@settings(deadline=None, max_examples=50)
@given(wamids, digits, texts)
def test_no_field_that_names_a_person_comes_out(wamid: str, number: str, text: str) -> None:
    shown = json.loads(
        written(
            lambda: log.info(
                "event.accepted", wamid=wamid, phone=number, name=text, body=text, text=text, key=f"message:{wamid}",
                conversation=f"106540352242922:{number}", wa_id=int(number), payload={"text": {"body": text}},
            )
        )
    )  # fmt: skip
    for name in ("timestamp", "pid"):
        del shown[name]
    flat = json.dumps(shown, ensure_ascii=False)
    assert wamid not in flat
    assert number not in flat
    assert text not in "".join(str(shown[name]) for name in ("name", "body", "text", "payload"))


@settings(deadline=None, max_examples=50)
@given(
    st.text("bcdfghjklmnpqrstvwxz ÄÖéß👍\"'\\\n", min_size=6, max_size=60)
    .map(str.strip)
    .filter(lambda t: len(t) > 5)
)
def test_while_hiding_no_text_of_the_payload_comes_out(text: str) -> None:
    payload = json.dumps({"field": "messages", "item": {"type": "text", "text": {"body": text}}})

    def write() -> None:
        with hiding(payload):
            every_way(text)

    shown = written(write)
    assert text not in shown
    assert repr(text)[1:-1] not in shown
    assert json.dumps(text)[1:-1] not in shown


def test_hiding_ends_with_its_block() -> None:
    with hiding(json.dumps({"body": "purple elephants"})):
        assert "elephants" not in mask_text("no purple elephants here")
    assert mask_text("no purple elephants here") == "no purple elephants here"


def test_personal_data_is_shown_where_it_is_asked_for() -> None:
    use(log_personal_data=True)
    assert PHONE in written(lambda: every_way(f"from {PHONE} "))


def test_a_line_at_a_terminal_holds_no_control_character_of_a_value() -> None:
    use(log_format="console", log_personal_data=True)
    shown = written(lambda: log.info("event.done", text="\x1b]0;title\x07\x1b[2J", odd=["\x9b31m"]))
    assert "title" in shown
    assert not any(character in shown for character in ("\x1b]", "\x07", "\x1b[2J", "\x9b"))
