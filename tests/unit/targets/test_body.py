"""What a target is sent: a body as its schema says, or as Meta sends it, signed by every secret that it has."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from app.handlers import Event
from app.payload import parse
from app.targets.body import as_json, body_of, raw_body
from app.targets.signing import headers, webhook_id
from tests.helpers import factories as f
from tests.helpers.targets import OLDER_SECRET, SECRET, target
from tests.unit.pages import ROOT

SCHEMA = json.loads((ROOT / "docs" / "target-event.schema.json").read_text(encoding="utf-8"))
WHEN = datetime(2026, 9, 1, tzinfo=UTC)
CHANGES = [
    f.messages(f.text_message("grüße"), contacts=[f.contact()]),
    f.statuses(f.status("read")),
    f.calls(f.call()),
    f.echoes(f.echo()),
    f.account_update(),
    f.user_preferences(f.preference()),
    f.statuses(f.payment_status()),
]


def event_of(change: f.Json) -> Event:
    (parsed,) = parse(f.wire(f.body(change, time=f.NOW))).events
    return Event(
        7, parsed.key, parsed.kind, parsed.type, parsed.conversation, WHEN, WHEN, False, parsed.payload
    )


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("change", CHANGES)
def test_a_body_is_as_the_schema_says(change: f.Json) -> None:
    body = json.loads(as_json(body_of([event_of(change)], target(), 1, replayed=False)))
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(body)] == []


def test_with_join_every_body_holds_a_list_as_the_schema_says() -> None:
    single = body_of([event_of(CHANGES[0])], target(), 1, replayed=False)
    for events in ([event_of(CHANGES[1])], [event_of(CHANGES[0])] * 3):
        body = json.loads(as_json(body_of(events, target(join=2.0), 1, replayed=False)))
        assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(body)] == []
        assert (body["type"], len(body["data"]["events"])) == ("events", len(events))
    assert body["data"]["events"][0] == single["data"]
    assert not Draft202012Validator(SCHEMA).is_valid(body | {"data": single["data"]})
    assert not Draft202012Validator(SCHEMA).is_valid(single | {"data": body["data"]})


def test_every_member_that_is_sent_is_described() -> None:
    body = body_of([event_of(CHANGES[0])], target(), 1, replayed=False)
    assert body["data"].keys() == SCHEMA["$defs"]["event"]["properties"].keys()


@pytest.mark.parametrize("change", CHANGES)
def test_a_raw_body_is_metas_own_with_the_one_item(change: f.Json) -> None:
    event = event_of(change)
    assert raw_body([event]) == f.body(change, time=f.NOW)
    (again,) = parse(f.wire(raw_body([event]))).events
    assert (again.key, again.kind, again.type) == (event.key, event.kind, event.type)


def test_a_raw_body_of_a_burst_has_an_entry_for_each_message() -> None:
    events = [event_of(f.messages(f.text_message(text, number=text))) for text in ("one", "two")]
    body = body_of(events, target(join=2.0, form="raw", hub_secret="app secret"), 1, replayed=False)
    assert [event.key for event in parse(f.wire(body)).events] == [event.key for event in events]


def test_a_request_is_signed_by_both_secrets_while_one_is_rotated() -> None:
    now, body = datetime.now(UTC), as_json({"grüße": 1})
    signed = headers(target(secret=[SECRET, OLDER_SECRET]), "evt_7_crm", body, now)
    for secret in (SECRET, OLDER_SECRET):
        assert Webhook(secret).verify(body, signed) == {"grüße": 1}
    assert int(signed["Content-Length"]) == len(body.encode())


def test_a_raw_request_is_signed_as_meta_signs() -> None:
    signed = headers(target(form="raw", hub_secret="app secret"), "evt_7_crm", "{}", WHEN)
    digest = hmac.new(b"app secret", b"{}", hashlib.sha256).hexdigest()
    assert signed["X-Hub-Signature-256"] == f"sha256={digest}"


def test_an_id_is_the_same_in_every_attempt_and_another_in_a_replay() -> None:
    assert webhook_id(7, "crm", None) == "evt_7_crm"
    assert webhook_id(7, "crm", 3) == "evt_7_crm_3"
