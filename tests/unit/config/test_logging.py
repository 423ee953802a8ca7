"""What a log line holds, and whom it must not name."""

import json
import logging
import os
import threading
import uuid

import pytest

from config.logging import StandardLines
from config.masking import (
    describe,
    mask_error,
    mask_id,
    mask_key,
    mask_name,
    mask_phone,
    mask_text,
)
from tests.unit.config.lines import PHONE, line, log, use, written

pytestmark = pytest.mark.usefixtures("configured")


WAMID = "wamid.HBgLMTIwNTU1NTAxMjNVAgARGBIwRkU4NDI5Nzk3RjZDMzE2RUMA"

DELIVERY = uuid.UUID("01930000-1234-7abc-8def-012345678901")


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


@pytest.mark.parametrize("name", ["alembic.runtime.plugins.autogenerate", "httpx", "celery.beat"])
def test_packages_that_say_what_nobody_asked_are_quiet_until_something_is_wrong(name: str) -> None:
    assert written(lambda: logging.getLogger(name).info("setup plugin")) == ""
    assert line(lambda: logging.getLogger(name).warning("wrong"))["event"] == "wrong"


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
        "job_id": 123456789013,
        "lane_name": "crm",
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
    assert PHONE not in written(lambda: log.info(f"message from {PHONE}"))
