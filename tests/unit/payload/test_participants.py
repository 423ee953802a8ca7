"""Whose an item is."""

import json
from typing import Any

import pytest

from tests.helpers import factories as f
from tests.helpers.parsing import names, only, split


class TestConversation:
    def test_both_names_of_a_user_are_learnt_the_bsuid_first(self) -> None:
        for change in (
            f.messages(f.text_message()),
            f.statuses(f.status()),
            f.echoes(f.echo()),
            f.calls(f.call()),
            f.user_preferences(f.preference()),
        ):
            assert names(only(change)) == [f.user_id(1), f.phone(1)]

    def test_a_group_is_the_only_name_of_its_messages(self) -> None:
        event = only(f.messages(f.text_message(group_id=f.GROUP), contacts=[f.contact()]))
        assert names(event) == [f.GROUP]

    def test_contacts_are_matched_by_name_and_not_by_place(self) -> None:
        by_phone = f.text_message(number=1, sender=1, from_user_id=None)
        by_user_id = f.text_message(number=2, sender=2) | {"from": None}
        change = f.messages(by_phone, by_user_id, contacts=[f.contact(2), f.contact(3), f.contact(1)])
        found = split(change)
        assert [names(event) for event in found] == [[f.user_id(n), f.phone(n)] for n in (1, 2)]
        shown = [json.loads(event.payload)["value"]["contacts"] for event in found]
        assert shown == [[f.contact(1)], [f.contact(2)]]

    def test_the_only_contact_completes_the_only_item(self) -> None:
        nameless = f.text_message(from_user_id=None) | {"from": None}
        phone_only = f.text_message(from_user_id=None)
        for item, contact in (
            (nameless, f.contact()),
            (phone_only, f.contact(wa_id=None)),
            (f.text_message() | {"from": None}, f.contact(user_id=None)),
        ):
            assert names(only(f.messages(item, contacts=[contact]))) == [f.user_id(1), f.phone(1)]

    def test_a_contact_with_another_name_or_beside_other_items_completes_nothing(self) -> None:
        phone_only = f.text_message(from_user_id=None)
        assert names(only(f.messages(phone_only, contacts=[f.contact(2)]))) == [f.phone(1)]
        two = f.messages(phone_only, f.text_message(number=2, sender=3), contacts=[f.contact(wa_id=None)])
        assert names(split(two)[0]) == [f.phone(1)]

    def test_nothing_is_a_conversation_without_a_phone_number_id(self) -> None:
        change = f.messages(f.text_message(), contacts=[f.contact()])
        del change["value"]["metadata"]
        assert only(change).aliases == ()

    def test_nothing_is_a_conversation_without_a_user_or_group(self) -> None:
        bare = f.text_message(from_user_id=None) | {"from": None}
        assert only(f.messages(bare)).aliases == ()

    def test_numbers_and_texts_name_the_same_user(self) -> None:
        written = f.text_message() | {"from": int(f.phone(1))}
        assert only(f.messages(written)).aliases == only(f.messages(f.text_message())).aliases

    def test_names_of_two_accounts_never_meet(self) -> None:
        one = only(f.change("messages", phone_number_id="1/2", messages=[f.text_message() | {"from": "3"}]))
        two = only(f.change("messages", phone_number_id="1", messages=[f.text_message() | {"from": "2/3"}]))
        assert not set(one.aliases) & set(two.aliases)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (f.call(), [f.user_id(1), f.phone(1)]),
            (f.call(from_user_id=None), [f.phone(1)]),
            (
                f.call(from_user_id=None) | {"from": f.OWN_PHONE, "to": f.phone(2)},
                [f.phone(2)],
            ),
            (
                f.call(from_user_id=None, direction="BUSINESS_INITIATED") | {"from": "1", "to": "2"},
                ["2"],
            ),
            (f.call(from_user_id=None) | {"from": "1", "to": "2"}, ["1"]),
            (
                f.call(from_user_id=None, to_user_id=f.user_id(3)) | {"from": "1", "to": "2"},
                [f.user_id(3), "2"],
            ),
        ],
    )
    def test_a_call_belongs_to_the_side_that_is_not_ours(self, change: Any, expected: list[str]) -> None:
        assert names(only(f.calls(change))) == expected

    def test_an_echo_to_a_group_belongs_to_the_group(self) -> None:
        sent = f.standby_echo()
        sent["message"] |= {"to": f.GROUP, "recipient_type": "group"}
        assert names(only(f.standby(message_echoes=[sent]))) == [f.GROUP]

    def test_standby_contacts_are_matched_too(self) -> None:
        item = f.text_message(from_user_id=None)
        assert names(only(f.standby(contacts=[f.contact()], messages=[item]))) == [f.user_id(1), f.phone(1)]


class TestChangedNames:
    old, new = f.user_id(1), f.user_id(2)
    old_phone, new_phone = f.phone(1), f.phone(2)

    def test_previous_user_id_links_old_and_new(self) -> None:
        notice = f.system_message(
            sender=self.old_phone,
            sender_id=self.new,
            wa_id=self.new_phone,
            user_id=self.new,
            previous_user_id=self.old,
        )
        assert names(only(f.messages(notice))) == [self.new, self.old, self.old_phone, self.new_phone]

    def test_an_old_and_a_new_phone_are_linked(self) -> None:
        notice = f.system_message(sender=self.old_phone, wa_id=self.new_phone)
        assert names(only(f.messages(notice))) == [self.old_phone, self.new_phone]

    def test_the_old_name_is_found_at_the_end_of_the_text(self) -> None:
        text = f"User Ann changed from {self.old} to {self.new}"
        notice = f.system_message("user_changed_user_id", user_id=self.new, body=text)
        assert names(only(f.messages(notice))) == [self.new, self.old]
        text = f"User Ann changed from {self.old_phone} to {self.new_phone}"
        notice = f.system_message(wa_id=self.new_phone, body=text)
        assert names(only(f.messages(notice))) == [self.old_phone, self.new_phone]

    def test_a_profile_name_cannot_claim_another_user(self) -> None:
        victim = f.user_id(9)
        text = f"User changed from {victim} to {self.new} changed from {self.old} to {self.new}"
        notice = f.system_message("user_changed_user_id", user_id=self.new, body=text)
        assert f"{f.PHONE_NUMBER_ID}/{victim}" not in only(f.messages(notice)).aliases
        unconfirmed = f.system_message(user_id=self.new, body=f"x changed from {victim} to {f.user_id(8)}")
        assert names(only(f.messages(unconfirmed))) == [self.new]
        nothing = f.system_message(body=f"x changed from {victim} to .")
        assert only(f.messages(nothing)).aliases == ()

    def test_a_user_id_update_links_old_and_new(self) -> None:
        update = {"wa_id": self.old_phone, "user_id": {"previous": self.old, "current": self.new}}
        event = only(f.change("user_id_update", user_id_update=[update]))
        assert (event.kind, names(event)) == ("other", [self.new, self.old, self.old_phone])

    def test_another_system_message_links_nothing(self) -> None:
        notice = f.system_message("customer_identity_changed", sender=self.old_phone, wa_id=self.new_phone)
        assert names(only(f.messages(notice))) == [self.old_phone]
