"""What a log line holds, and whom it must not name."""

import json
import logging
import os
import sys
import tempfile
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.logging import StandardLines, configure, get_logger
from config.masking import (
    describe,
    hiding,
    mask_error,
    mask_id,
    mask_key,
    mask_name,
    mask_phone,
    mask_text,
)
from config.settings import load

STDERR = 2
WAMID = "wamid.HBgLMTIwNTU1NTAxMjNVAgARGBIwRkU4NDI5Nzk3RjZDMzE2RUMA"
PHONE = "12055550123"
DELIVERY = uuid.UUID("01930000-1234-7abc-8def-012345678901")

log = get_logger("tests.logging")


@pytest.fixture(autouse=True)
def _configured() -> Iterator[None]:
    """JSON lines of a worker; what ``configure`` changes in the process is put back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook, warnings.showwarning
    use()
    yield
    logging.captureWarnings(capture=False)
    root.handlers, root.level, sys.excepthook, threading.excepthook, warnings.showwarning = before


def use(**settings: Any) -> None:
    configure(load(neverdrop_env="development", **settings), "worker")


@contextmanager
def standard_error() -> Iterator[Callable[[], str]]:
    """Catches what is written to the file descriptor, as the lines are."""
    kept = os.dup(STDERR)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), STDERR)

        def read() -> str:
            caught.seek(0)
            return caught.read().decode()

        try:
            yield read
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)


def written(write: Callable[[], object]) -> str:
    with standard_error() as read:
        write()
        return read()


def line(write: Callable[[], object]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(write))
    return found


def test_a_line_is_one_json_object_with_the_event_time_level_process_and_fields() -> None:
    found = line(lambda: log.info("event.done", event_id=7, seconds=0.25))
    assert found["event"] == "event.done"
    assert (found["level"], found["logger"], found["process"]) == ("info", "tests.logging", "worker")
    assert (found["event_id"], found["seconds"], found["pid"]) == (7, 0.25, os.getpid())
    assert found["timestamp"].endswith("Z")


def test_configuring_again_doubles_no_line() -> None:
    use()
    use()
    assert written(lambda: logging.getLogger("celery.worker").info("ready")).count("\n") == 1


def test_a_logger_made_and_used_before_follows_a_later_configure() -> None:
    log.info("event.done")
    use(log_personal_data=True)
    assert line(lambda: log.info("event.done", phone=PHONE))["phone"] == PHONE


def test_the_standard_library_comes_out_in_the_same_form() -> None:
    found = line(lambda: logging.getLogger("sqlalchemy.pool").warning("lost %s of %d", "one", 3))
    assert (found["event"], found["level"], found["process"]) == ("lost one of 3", "warning", "worker")


def test_a_standard_message_that_does_not_fit_its_arguments_is_still_a_line() -> None:
    record = logging.LogRecord("other", logging.WARNING, __file__, 1, "%d", ("one",), None)
    assert line(lambda: StandardLines().handle(record))["event"] == "%d"


def test_console_lines_are_for_people() -> None:
    use(log_format="console")
    shown = written(lambda: log.warning("event.failed_attempt", handler="orders.on_text"))
    assert "event.failed_attempt" in shown
    assert "handler=orders.on_text" in shown


def test_console_lines_are_coloured_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    use(log_format="console")
    assert "\x1b[" in written(lambda: log.info("event.done"))


def test_a_forked_child_tells_its_own_pid() -> None:
    def in_child() -> None:
        child = os.fork()
        if child == 0:
            log.info("event.done")
            os._exit(0)
        os.waitpid(child, 0)

    assert line(in_child)["pid"] != os.getpid()


def test_what_json_cannot_hold_is_still_a_line() -> None:
    found = line(lambda: log.info("event.done", odd="\ud800", size=2**70, state=object()))
    assert found["event"] == "event.done"


def test_an_uncaught_error_in_a_thread_is_a_masked_line() -> None:
    def crash() -> None:
        raise RuntimeError(f"no such user {PHONE}")

    def run() -> None:
        thread = threading.Thread(target=crash)
        thread.start()
        thread.join()

    found = line(run)
    assert found["event"] == "thread.crashed"
    assert PHONE not in json.dumps(found)


def test_fields_of_ours_are_left_as_they_are() -> None:
    fields = {
        "event_id": 123456789012,
        "delivery_id": str(DELIVERY),
        "lane": 15551234567,
        "kind": "message",
        "type": "text",
        "handler": "orders.on_text",
        "attempt": 3,
        "worker": "worker@host-1234567",
        "seconds": 0.0123456789,
        "due_at": "2026-11-23T10:00:00+00:00",
    }
    found = line(lambda: log.info("event.done", **fields))
    assert {name: found[name] for name in fields} == fields


def test_free_text_keeps_times_hashes_uuids_and_durations() -> None:
    text = (
        f"delivery {DELIVERY} at 2026-11-23 10:00:00,123 took 0.01234567890s, "
        f"body {'0a' * 32}, object at 0x7f1234567890"
    )
    assert mask_text(text) == text


def test_masking_twice_changes_nothing_more() -> None:
    once = mask_text(f"{WAMID} of {PHONE}")
    assert mask_text(once) == once


def test_equal_ids_are_masked_alike_and_others_differently() -> None:
    assert mask_id(WAMID) == mask_id(WAMID)
    assert mask_id(WAMID) != mask_id(WAMID + "A")
    assert mask_id(WAMID).startswith("wamid.…")
    assert mask_text(f"got {WAMID}.") == f"got {mask_id(WAMID)}."


def test_a_key_keeps_its_words_and_loses_its_ids() -> None:
    assert mask_key(f"status:{WAMID}:delivered:{PHONE}") == (
        f"status:{mask_id(WAMID)}:delivered:{mask_phone(PHONE)}"
    )


def test_a_phone_number_keeps_two_digits_however_it_is_written() -> None:
    for written_as in (PHONE, f"+{PHONE}", "+1 (205) 555-0123", "+1 205 555 0123"):
        assert mask_text(f"call {written_as} now") == "call …23 now"
    assert mask_phone("+1 205-555-0123") == "…23"
    assert mask_name("Ada Lovelace") == "…"


def test_user_ids_are_masked() -> None:
    assert "13491208655302741918" not in mask_text("user US.13491208655302741918 of US.ENT.118157992128868")


def test_an_error_loses_what_it_quotes_unless_it_quotes_code() -> None:
    assert mask_error("invalid literal for int() with base 10: 'forty two'").endswith("base 10: '…'")
    code = AttributeError("'NoneType' object has no attribute 'strip'")
    assert describe(code) == f"AttributeError: {code}"


def test_a_database_error_loses_its_parameters() -> None:
    refused = "duplicate key\nDETAIL:  Key (name)=(Ada Lovelace) already exists.\n[parameters: {'n': 'Ada'}]"
    assert "Ada" not in mask_error(refused)


def test_sentences_as_events_are_masked_like_any_text() -> None:
    assert PHONE not in written(lambda: log.info(f"message from {PHONE}"))  # noqa: G004


# Properties: whatever is planted never comes out

digits = st.text("0123456789", min_size=6, max_size=14).map(lambda rest: f"1{rest}")
wamids = st.text("ABCDEFGHabcdefgh0123456789+/", min_size=8, max_size=60).map(lambda code: f"wamid.{code}")
words = st.text("abcdefghijklmnopqrstuvwxyzäöü ", max_size=20).map(lambda text: f"{text} ")
texts = st.text(min_size=6, max_size=60).map(str.strip).filter(lambda text: len(text) > 5)


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
