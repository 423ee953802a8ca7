"""Statuses, and the fields of a webhook that are no messages: which events they are."""

import json
from typing import Any

import pytest

from app.payload.parse import StatusUpdate
from tests.helpers import factories as f
from tests.helpers.parsing import CONVERSATION, events, names, only, split


class TestStatuses:
    def test_each_status_of_a_message_is_an_event(self) -> None:
        found = split(f.statuses(f.status("sent"), f.status("delivered"), f.status("read")))
        assert [event.key for event in found] == [
            f"status:{f.wamid(1)}:{state}:" for state in ("sent", "delivered", "read")
        ]
        assert all(event.kind == "status" for event in found)

    def test_each_participant_of_a_group_is_an_event_of_the_groups_conversation(self) -> None:
        by_phone = f.group_status("read", 2, recipient_participant_user_id=None)
        found = split(
            f.statuses(
                f.group_status("read", 1),
                by_phone | {"recipient_participant_id": f.phone(2)},
                by_phone | {"participant_recipient_id": f.phone(3)},
            )
        )
        participants = [f.user_id(1), f.phone(2), f.phone(3)]
        assert [event.key for event in found] == [f"status:{f.wamid(1)}:read:{who}" for who in participants]
        assert [event.status and event.status.participant for event in found] == participants
        assert {event.aliases for event in found} == {(f"{f.PHONE_NUMBER_ID}/{f.GROUP}",)}

    def test_an_ordinary_status_updates_its_message(self) -> None:
        event = only(f.statuses(f.status("read", number=4)))
        assert event.status == StatusUpdate(f.wamid(4), "", "read", f.NOW)
        typed = only(f.statuses(f.status("read", number=4, type="message")))
        assert (typed.status, typed.key) == (event.status, event.key)

    @pytest.mark.parametrize(
        "change",
        [
            f.statuses(f.status("deleted")),
            f.statuses(f.status("captured", type="payment")),
            f.statuses(f.status("delivered", type="payment")),
            f.statuses(f.status("delivered", type="call"), field="calls"),
            f.statuses(f.status("delivered"), field="calls"),
            f.statuses(f.status("delivered") | {"id": None}),
        ],
    )
    def test_a_status_of_something_else_updates_no_message(self, change: Any) -> None:
        assert only(change).status is None

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            (f.statuses(f.status("failed")), "status"),
            (f.statuses(f.status("failed", type="message")), "status"),
            (f.statuses(f.payment_status("failed")), "payment_status"),
            (f.statuses(f.status("RINGING", type="call"), field="calls"), "call_status"),
            (f.statuses(f.status("ACCEPTED"), field="calls"), "call_status"),
            (f.statuses(f.status("failed", type="subscription")), "subscription_status"),
            (f.statuses(f.status("failed", type=[])), "unknown_status"),
        ],
    )
    def test_what_a_status_is_about_is_its_kind(self, change: Any, kind: str) -> None:
        assert only(change).kind == kind


class TestOtherFields:
    def test_a_call_is_keyed_by_its_id_and_event(self) -> None:
        found = split(f.calls(f.call("connect"), f.call("terminate")))
        assert [event.key.partition(":~")[0] for event in found] == [
            "call:wacid.1:connect",
            "call:wacid.1:terminate",
        ]
        assert {(event.kind, event.type) for event in found} == {("other", "calls")}

    def test_errors_of_a_change_are_one_event_of_no_conversation(self) -> None:
        errors = [{"code": 130429}, {"code": 131035}]
        event = only(f.change("messages", errors=errors))
        assert (event.kind, event.type, event.aliases) == ("other", "errors", ())
        assert json.loads(event.payload)["item"] == errors
        called = split(f.calls(f.call(), errors=errors))
        assert [event.type for event in called] == ["calls", "errors"]

    def test_the_same_errors_beside_other_messages_are_other_errors(self) -> None:
        first, second = (
            split(f.messages(f.text_message(number=number), errors=[{"code": 1}]))[1] for number in (1, 2)
        )
        assert first.key != second.key

    def test_errors_that_are_a_management_fields_particulars_stay_in_it(self) -> None:
        assert only(f.management("flows", event="ENDPOINT_ERROR_RATE", errors=[{}])).type == "flows"

    def test_each_user_action_is_an_event(self) -> None:
        clicks = [
            {"timestamp": str(f.NOW), "marketing_messages_link_click_data": {"click_id": name}}
            for name in ("one", "two")
        ]
        found = split(f.change("messages", user_actions=clicks))
        assert [event.key.split(":")[1] for event in found] == ["one", "two"]
        assert {(event.kind, event.type) for event in found} == {("other", "user_actions")}

    def test_each_preference_is_an_event_of_its_user(self) -> None:
        stop, resume = f.preference("stop"), f.preference("resume", at=f.NOW + 5)
        found = split(f.user_preferences(stop, resume))
        assert len({event.key for event in found}) == 2
        assert {event.conversation for event in found} == {CONVERSATION}
        assert [event.occurred_at for event in found] == [f.NOW, f.NOW + 5]

    def test_a_groups_item_belongs_to_the_group(self) -> None:
        group = {"group_id": f.GROUP, "type": "group_create", "timestamp": str(f.NOW), "request_id": "r"}
        event = only(f.change("group_lifecycle_update", groups=[group]))
        assert (event.type, names(event), event.occurred_at) == ("group_lifecycle_update", [f.GROUP], f.NOW)

    def test_items_without_an_identity_are_one_event_for_each_change(self) -> None:
        contacts = [{"type": "contact", "action": "add"}, {"type": "contact", "action": "remove"}]
        event = only(f.change("smb_app_state_sync", state_sync=contacts))
        assert event.type == "smb_app_state_sync"
        assert json.loads(event.payload)["item"]["state_sync"] == contacts

    def test_an_item_without_a_time_of_its_own_has_that_of_its_entry(self) -> None:
        (event,) = events(f.body(f.account_update(), time=f.NOW))
        assert (event.occurred_at, json.loads(event.payload)["entry_time"]) == (f.NOW, f.NOW)
        (event,) = events(f.body(f.account_update(timestamp=str(f.NOW)), time=f.NOW + 1))
        assert event.occurred_at == f.NOW
        assert only(f.account_update()).occurred_at is None

    def test_what_stands_beside_a_value_is_kept(self) -> None:
        body = f.body(f.account_update() | {"changed_at": 1}) | {"batch": "b"}
        body["entry"][0] |= {"uid": "u", "changed_fields": ["x"]}
        (event,) = events(body)
        assert json.loads(event.payload)["beside"] == {
            "body": {"batch": "b"},
            "entry": {"uid": "u", "changed_fields": ["x"]},
            "change": {"changed_at": 1},
        }
        assert event.key == only(f.account_update()).key

    def test_the_object_of_a_body_that_is_not_of_whatsapp_is_kept(self) -> None:
        (event,) = events(f.body(f.account_update()) | {"object": "page"})
        assert json.loads(event.payload)["beside"] == {"body": {"object": "page"}}
        assert "beside" not in json.loads(only(f.account_update()).payload)
