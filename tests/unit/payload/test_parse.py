"""What a body is split into."""

import json
from typing import Any

import pytest

from app.payload.identity import message_key_ranges
from app.payload.parse import MAX_ITEMS, ParsedBody, parse
from tests.helpers import factories as f
from tests.helpers.parsing import CONVERSATION, events, keys, names, only, split


class TestWhatIsAnEvent:
    def test_a_message_is_an_event_with_its_type_key_conversation_and_time(self) -> None:
        event = only(f.messages(f.text_message("hi", number=7)))
        assert (event.index, event.kind, event.type) == (0, "message", "text")
        assert event.key == f"message:{f.wamid(7)}"
        assert event.conversation == CONVERSATION
        assert event.occurred_at == f.NOW
        assert event.status is None

    def test_every_entry_change_and_item_is_read_in_order(self) -> None:
        body = f.batch(
            f.entry(f.messages(f.text_message(number=1), f.text_message(number=2)), account="1"),
            f.entry(f.statuses(f.status(number=3)), f.account_update(), account="2"),
        )
        found = events(body)
        assert [event.index for event in found] == [0, 1, 2, 3]
        assert [event.type for event in found] == ["text", "text", "delivered", "account_update"]

    def test_messages_statuses_errors_and_actions_of_one_change_are_all_events(self) -> None:
        change = f.messages(f.text_message(), statuses=[f.status()], errors=[{"code": 1}], user_actions=[{}])
        found = split(change)
        assert [(event.kind, event.type) for event in found] == [
            ("message", "text"),
            ("status", "delivered"),
            ("other", "user_actions"),
            ("other", "errors"),
        ]

    def test_a_message_of_an_unknown_type_is_a_message(self) -> None:
        assert only(f.messages(f.message("hologram"))).type == "hologram"

    @pytest.mark.parametrize("odd", [None, "", {}, [], 1.5, True])
    def test_a_message_or_status_without_a_usable_type_is_unknown(self, odd: Any) -> None:
        message, status = f.message("text") | {"type": odd}, f.status() | {"status": odd}
        found = split(f.messages(message), f.statuses(status))
        assert [(event.kind, event.type) for event in found] == [
            ("message", "unknown"),
            ("status", "unknown"),
        ]

    @pytest.mark.parametrize("odd", [None, "text", 5, ["nested"], 1.5, False])
    def test_an_item_that_is_no_object_is_an_event_beside_its_neighbours(self, odd: Any) -> None:
        found = split(f.messages(f.text_message(number=1), odd, f.text_message(number=2)))
        assert [event.kind for event in found] == ["message", "other", "message"]
        assert found[1].type == "messages"
        assert found[1].aliases == ()

    @pytest.mark.parametrize("odd", [None, "x", 5, [1], {}, {"id": "1"}, {"id": "1", "changes": {}}])
    def test_an_entry_of_another_shape_is_an_event(self, odd: Any) -> None:
        found = events(f.batch(odd, f.entry(f.messages(f.text_message()))))
        assert [(event.kind, event.type) for event in found] == [("other", "entry"), ("message", "text")]

    @pytest.mark.parametrize("odd", [None, "x", 5, [1], {}, {"value": {}}, {"field": 5, "value": {}}])
    def test_a_change_of_another_shape_is_an_event(self, odd: Any) -> None:
        found = split(odd, f.messages(f.text_message()))
        assert [(event.kind, event.type) for event in found] == [("other", "change"), ("message", "text")]

    @pytest.mark.parametrize("value", [None, "x", 5, [1, 2], {}, {"event": "NEW"}])
    def test_an_unknown_field_is_an_event_whatever_its_value(self, value: Any) -> None:
        event = only({"field": "hologram_update", "value": value})
        assert (event.kind, event.type) == ("other", "hologram_update")
        assert json.loads(event.payload)["item"] == value

    def test_a_change_without_a_value_is_an_event(self) -> None:
        assert only({"field": "flows"}).type == "flows"

    def test_a_messages_change_without_any_known_list_is_one_event(self) -> None:
        event = only(f.change("messages", contacts=[f.contact()], news=[{"id": 1}, {"id": 2}]))
        assert (event.kind, event.type, event.conversation) == ("other", "messages", CONVERSATION)

    def test_a_list_that_is_not_known_is_an_event_beside_the_known_ones(self) -> None:
        found = split(f.messages(f.text_message(), news=[{"id": 1}]))
        assert [(event.kind, event.type) for event in found] == [("message", "text"), ("other", "messages")]
        assert json.loads(found[1].payload)["item"] == {"news": [{"id": 1}]}

    def test_a_known_list_that_is_an_object_is_an_event_too(self) -> None:
        found = split(
            f.statuses(f.status()) | f.change("messages", statuses=[f.status()], messages={"id": 1})
        )
        assert [event.type for event in found] == ["delivered", "messages"]

    @pytest.mark.parametrize("body", [f.batch(), f.body(), f.body(f.messages(), f.statuses())])
    def test_a_body_without_an_item_is_one_event_that_says_so(self, body: Any) -> None:
        parsed = parse(f.wire(body))
        assert parsed.unreadable == "no item in it"
        assert [event.type for event in parsed.events] == ["unreadable"]

    def test_empty_lists_beside_others_give_no_events(self) -> None:
        assert [event.type for event in split(f.messages(), f.statuses(f.status()))] == ["delivered"]

    def test_a_change_alone_as_the_dashboard_shows_its_test_is_a_change(self) -> None:
        assert events(f.messages(f.text_message()))[0].key == f"message:{f.wamid(1)}"

    def test_a_body_without_an_object_name_is_taken_for_whatsapp(self) -> None:
        assert events({"entry": [f.entry(f.messages(f.text_message()))]})[0].kind == "message"

    def test_a_body_of_another_object_gives_only_other_events(self) -> None:
        body = f.body(f.messages(f.text_message()), f.statuses(f.status())) | {"object": "page"}
        body["entry"].append({"id": "9", "time": 1, "messaging": [{"message": {"mid": "m"}}]})
        found = events(body)
        assert [(event.kind, event.type) for event in found] == [
            ("other", "messages"),
            ("other", "messages"),
            ("other", "entry"),
        ]
        whatsapp = f.body(f.messages(f.text_message()))
        assert not {event.key for event in found} & set(keys(whatsapp))


class TestOnlyMessagesAreToBeAnswered:
    @pytest.mark.parametrize(
        ("change", "type_", "key"),
        [
            (f.echoes(f.echo()), "smb_message_echoes", f"smb_message_echoes.echo:{f.wamid(1)}"),
            (
                f.echoes(f.echo(), field="message_echoes"),
                "message_echoes",
                f"message_echoes.echo:{f.wamid(1)}",
            ),
            (f.standby(messages=[f.text_message()]), "standby", f"standby.message:{f.wamid(1)}"),
            (f.standby(message_echoes=[f.standby_echo()]), "standby", f"standby.echo:{f.wamid(1)}"),
            (f.standby(statuses=[f.status()]), "standby", f"standby.status:{f.wamid(1)}:delivered:"),
            (f.change("history", messages=[f.message("image")]), "history", f"history.message:{f.wamid(1)}"),
        ],
    )
    def test_echoes_standby_and_history_are_other(self, change: Any, type_: str, key: str) -> None:
        event = only(change)
        assert (event.kind, event.type, event.key) == ("other", type_, key)
        assert event.occurred_at == f.NOW
        assert event.status is None
        assert CONVERSATION in event.aliases or names(event) == [f.phone(1)]

    def test_one_wamid_seen_in_many_places_is_as_many_events_found_by_the_wamid(self) -> None:
        automatic = {"id": f.wamid(1), "event_name": "Purchase", "timestamp": f.NOW}
        found = split(
            f.messages(f.text_message()),
            f.statuses(f.status()),
            f.echoes(f.echo()),
            f.standby(messages=[f.text_message()], message_echoes=[f.standby_echo()], statuses=[f.status()]),
            f.change("history", messages=[f.message("image")]),
            f.change("automatic_events", automatic_events=[automatic]),
        )
        unique = {event.key for event in found}
        assert len(unique) == len(found) == 8
        ranges = message_key_ranges(f.wamid(1))
        assert all(any(key.startswith(start) for start in ranges) for key in unique)

    def test_a_chunk_of_history_is_one_event(self) -> None:
        thread = f.history_thread(1, f.text_message(number=1), f.text_message(number=2))
        event = only(f.history(thread, phase=2, chunk_order=7))
        assert (event.kind, event.type, event.aliases) == ("other", "history", ())
        assert event.key.startswith("history:2:7:~")

    def test_a_message_that_the_business_wrote_belongs_to_the_user_it_was_sent_to(self) -> None:
        sent = f.message("image", to=f.phone(4)) | {"from": f.OWN_PHONE, "from_user_id": None}
        assert names(only(f.change("history", messages=[sent]))) == [f.phone(4)]


class TestTime:
    @pytest.mark.parametrize(
        ("timestamp", "expected"),
        [
            (str(f.NOW), f.NOW),
            (f.NOW, f.NOW),
            (float(f.NOW), f.NOW),
            ("0", 0),
            ("", None),
            (None, None),
            (True, None),
            (-1, None),
            ("-1", None),
            ("soon", None),
            ("1_000", None),
            (" 5", None),
            ("٣", None),
            (float("nan"), None),
            (float("inf"), None),
            (f.NOW * 1000, None),
            (str(f.NOW * 1000), None),
            ("9" * 5000, None),
            ([f.NOW], None),
            ({}, None),
        ],
    )
    def test_a_timestamp_is_unix_seconds_or_no_time(self, timestamp: Any, expected: int | None) -> None:
        assert only(f.messages(f.text_message() | {"timestamp": timestamp})).occurred_at == expected


class TestPayload:
    def test_it_holds_the_item_whole_and_what_is_around_it(self) -> None:
        item = f.text_message("é / \x00 \ud83d")
        event = only(f.messages(item, contacts=[f.contact(), f.contact(2)]))
        assert event.payload.isascii()
        assert json.loads(event.payload) == {
            "entry": f.ACCOUNT,
            "field": "messages",
            "item": item,
            "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": f.OWN_PHONE, "phone_number_id": f.PHONE_NUMBER_ID},
                "contacts": [f.contact()],
            },
        }

    def test_a_large_context_is_left_out_and_said_to_be(self) -> None:
        large = f.contact(profile={"name": "x" * 20_000})
        payload = json.loads(only(f.messages(f.text_message(), contacts=[large])).payload)
        assert payload["context_omitted"] is True
        assert payload["value"] == {}
        assert payload["item"] == f.text_message()

    def test_contexts_together_stay_bounded(self) -> None:
        change = f.messages(*({"from": str(n)} for n in range(MAX_ITEMS)), more={"text": "x" * 15_000})
        assert sum(len(event.payload) for event in split(change)) < 17 * 2**20

    def test_it_is_the_same_whatever_the_order_of_names(self) -> None:
        item = f.text_message()
        backwards = dict(reversed(item.items()))
        assert only(f.messages(item)).payload == only(f.messages(backwards)).payload


class TestStorable:
    odd = ("a\x00b", "a\ud800b", "x" * 501)

    @pytest.mark.parametrize("text", odd)
    def test_every_text_can_be_stored(self, text: str) -> None:
        item = f.text_message(group_id=text) | {"id": text, "type": text}
        found = [
            *split(f.messages(item), f.statuses(f.group_status("read", 1) | {"id": text})),
            *split(f.change(text, phone_number_id=text, messages=[f.text_message() | {"from": text}])),
        ]
        updated = [event.status.message_id for event in found if event.status]
        texts = [text for event in found for text in (event.type, event.key, *event.aliases)]
        for each in texts + updated:
            assert len(each) <= 500
            each.encode("utf-8")
            assert "\x00" not in each

    def test_odd_texts_stay_apart(self) -> None:
        changes = [
            f.messages(f.text_message(group_id=text) | {"id": text, "type": text}) for text in self.odd
        ]
        found = split(*changes)
        assert len({event.type for event in found}) == len({event.aliases for event in found}) == 3


class TestUnreadable:
    @pytest.mark.parametrize(
        "body",
        [b"", b"\xff\xfe\xff", b"{", b"null", b"5", b'"text"', b"[]", b"{}", b'{"entry":null}', b'{"entry":{}}',
         b'{"object":"whatsapp_business_account"}', b"[" * 100_000, b'{"a":' * 100_000, b'{"value":{}}',
         b'{"entry":[{"id":9' + b"9" * 10_000],
    )  # fmt: skip
    def test_a_body_without_any_change_is_one_unreadable_event(self, body: bytes) -> None:
        parsed = parse(body)
        assert parsed.unreadable
        (event,) = parsed.events
        assert (event.index, event.kind, event.type) == (0, "other", "unreadable")
        assert (event.aliases, event.occurred_at, event.status) == ((), None, None)
        assert event.key.startswith("unreadable:")
        assert json.loads(event.payload)["unreadable"] == parsed.unreadable

    def test_different_unreadable_bodies_are_different_events(self) -> None:
        assert parse(b"{").events[0].key != parse(b"[").events[0].key

    def test_more_items_than_can_be_held_are_unreadable(self) -> None:
        assert len(split(f.messages(*[{}] * MAX_ITEMS))) == MAX_ITEMS
        too_many: ParsedBody = parse(f.wire(f.body(f.messages(*[{}] * (MAX_ITEMS + 1)))))
        assert too_many.unreadable == f"more items than {MAX_ITEMS}"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
    def test_any_encoding_of_json_is_read(self, encoding: str) -> None:
        text = json.dumps(f.body(f.messages(f.text_message("é"))), ensure_ascii=False)
        assert keys(text.encode(encoding)) == [f"message:{f.wamid(1)}"]

    def test_a_number_too_long_for_an_integer_harms_no_neighbour(self) -> None:
        long = "7" * 10_000
        body = f.wire(f.body(f.messages(f.text_message(x="LONG"), f.text_message(number=2))))
        found = events(body.replace(b'"LONG"', long.encode()))
        assert [event.key for event in found] == [f"message:{f.wamid(n)}" for n in (1, 2)]
        assert long in found[0].payload

    def test_nan_and_infinity_harm_no_neighbour(self) -> None:
        found = split(f.messages(f.text_message(x=float("nan")), {"x": float("-inf")}))
        assert [event.kind for event in found] == ["message", "message"]
