"""What really reaches Sentry: the envelopes, as a stand-in for its endpoint receives them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from celery import Celery
from celery.exceptions import Retry
from flask import Flask

from app.errors import Permanent
from app.watch import reporting
from config.logging import get_logger, hiding, mask_key
from config.settings import Settings, load
from tests.helpers.receiver import Receiver, receiver

PHONE = "12055550123"
WAMID = "wamid.HBgLMTIwNTU1NTAxMjNVAgARGBIwRkU4NDI5Nzk3RjZDMzE2RUMA"
WORDS = "purple elephants at noon"
TOKEN = "a-secret-token"
PERSONAL = (PHONE, WAMID, WORDS)
ATTEMPT: dict[str, Any] = {
    "event_id": 7,
    "key": f"message:{WAMID}",
    "kind": "message",
    "type": "text",
    "conversation": f"106540352242922:{PHONE}",
    "handler": "orders.on_text",
    "attempt": 3,
}


@pytest.fixture
def sentry() -> Iterator[Receiver]:
    """Started as a worker would, and forgotten afterwards."""
    with receiver() as found:
        reporting._warned.clear()
        reporting.start(with_dsn(found), "worker")
        yield found
        sentry_sdk.get_client().close(timeout=0)
        sentry_sdk.get_global_scope().set_client(None)
        sentry_sdk.get_global_scope().clear()


def with_dsn(found: Receiver) -> Settings:
    return load(neverdrop_env="development", sentry_dsn=found.url.replace("http://", "http://key@") + "/1")


def events(found: Receiver) -> list[dict[str, Any]]:
    """Every event that arrived, once all that waits was sent."""
    reporting.flush()
    sentry_sdk.flush(timeout=10)
    return [event for body in found.bodies for event in _events_of(body)]


def _events_of(envelope: bytes) -> Iterator[dict[str, Any]]:
    lines = envelope.split(b"\n")[1:]
    for header, payload in zip(lines[::2], lines[1::2], strict=False):
        if json.loads(header or b"{}").get("type") == "event":
            yield json.loads(payload)


def failure(error: Exception) -> Exception:
    """The error as a handler raises it, with its traceback."""
    body = f"{PHONE} {WORDS}"  # a local variable that must stay local
    try:
        raise error
    except type(error) as caught:
        assert body
        return caught


def nothing_personal(found: Receiver) -> bool:
    sent = b"".join(found.bodies)
    assert sent
    return not any(personal.encode() in sent for personal in PERSONAL)


def test_a_dead_letter_is_an_error_grouped_by_handler_and_error(sentry: Receiver) -> None:
    with hiding(json.dumps({"item": {"text": {"body": WORDS}, "from": PHONE}})):
        reporting.dead_letter(error=failure(Permanent(f"{PHONE} said {WORDS} in {WAMID}")), **ATTEMPT)
    (event,) = events(sentry)
    assert event["level"] == "error"
    assert event["fingerprint"] == ["dead-letter", "orders.on_text", "Permanent"]
    assert event["tags"]["process"] == "worker"
    assert event["environment"] == "development"
    assert event["release"].startswith("neverdrop@")
    assert event["contexts"]["attempt"]["event_id"] == 7
    assert event["contexts"]["attempt"]["key"] == mask_key(f"message:{WAMID}")
    assert event["exception"]["values"][0]["type"] == "Permanent"
    assert nothing_personal(sentry)


def test_a_dead_letter_without_its_exception_is_grouped_alike(sentry: Receiver) -> None:
    reporting.dead_letter(error=f"ValueError: no such thing as '{WORDS}' for {PHONE}", **ATTEMPT)
    (event,) = events(sentry)
    assert event["level"] == "error"
    assert event["fingerprint"] == ["dead-letter", "orders.on_text", "ValueError"]
    assert nothing_personal(sentry)


def test_a_failed_attempt_is_a_warning_once_and_a_breadcrumb_each_time(sentry: Receiver) -> None:
    with hiding(json.dumps({"body": WORDS})):
        for _ in range(3):
            reporting.failed_attempt(error=failure(ValueError(f"{WORDS} from {PHONE}")), **ATTEMPT)
        reporting.dead_letter(error=failure(ValueError(f"{WORDS} from {PHONE}")), **ATTEMPT)
    warning, dead = events(sentry)
    assert (warning["level"], dead["level"]) == ("warning", "error")
    assert warning["fingerprint"] == ["failed-attempt", "orders.on_text", "ValueError"]
    crumbs = [c for c in dead["breadcrumbs"]["values"] if c["category"] == "attempt"]
    assert [crumb["level"] for crumb in crumbs] == ["warning"] * 3
    assert nothing_personal(sentry)


def test_an_unreadable_delivery_is_an_error(sentry: Receiver) -> None:
    reporting.unreadable_delivery(event_id=9)
    (event,) = events(sentry)
    assert event["level"] == "error"
    assert event["fingerprint"] == ["dead-letter", "", "Unreadable"]


def test_an_alert_is_an_error_and_its_end_a_note(sentry: Receiver) -> None:
    reporting.alert("backlog_size", "12,345 are unfinished", raised=True)
    reporting.alert("backlog_size", "7 are unfinished", raised=False)
    raised, cleared = events(sentry)
    assert (raised["level"], cleared["level"]) == ("error", "info")
    assert raised["fingerprint"] == cleared["fingerprint"] == ["alert", "backlog_size"]
    assert "12,345 are unfinished" in raised["message"]


def test_an_error_in_a_request_is_reported_without_the_request(sentry: Receiver) -> None:
    app = Flask(__name__)

    @app.post("/webhook")
    def fail() -> str:
        raise RuntimeError(f"cannot take '{WORDS}'")

    app.test_client().post(f"/webhook?hub.verify_token={TOKEN}&phone={PHONE}", data=WAMID)
    (event,) = events(sentry)
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert set(event["request"]) == {"method", "url"}
    assert nothing_personal(sentry)
    assert TOKEN.encode() not in b"".join(sentry.bodies)


def test_a_failed_attempt_that_celery_sees_as_a_retry_is_not_reported_again(sentry: Receiver) -> None:
    app = Celery(broker="memory://")

    @app.task
    def advance() -> None:
        reporting.failed_attempt(error=failure(ValueError("no")), **ATTEMPT)
        raise Retry("ValueError")

    advance.apply()
    assert [event["level"] for event in events(sentry)] == ["warning"]


def test_an_unexpected_error_in_a_task_is_reported_without_its_arguments(sentry: Receiver) -> None:
    app = Celery(broker="memory://")

    @app.task
    def ingest(_body: str) -> None:
        raise RuntimeError("no room")

    ingest.apply(args=[f"{PHONE} {WORDS} {WAMID}"])
    (event,) = events(sentry)
    assert event["exception"]["values"][-1]["value"] == "no room"
    assert nothing_personal(sentry)


def test_our_own_log_lines_are_not_reported(sentry: Receiver) -> None:
    get_logger("app.lanes.execution").error("event.dead", handler="orders.on_text")
    assert events(sentry) == []


def test_without_a_dsn_nothing_is_started() -> None:
    reporting.start(load(neverdrop_env="development"), "worker")
    reporting.dead_letter(error=ValueError("no"), **ATTEMPT)
    reporting.failed_attempt(error=ValueError("no"), **ATTEMPT)
    reporting.alert("no_worker", "0 workers", raised=True)
    assert not sentry_sdk.is_initialized()
