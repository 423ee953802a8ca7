"""Which items are the same event."""

from typing import Any

import pytest

from app.payload.identity import build_key, ids_of, message_id_of
from tests.helpers import factories as f
from tests.helpers.parsing import keys, split


class TestKeys:
    def test_a_repeated_item_gives_the_same_key_twice(self) -> None:
        first, second = split(f.messages(f.text_message(), f.text_message()))
        assert first.key == second.key

    @pytest.mark.parametrize("odd", [None, "", 5, {}, [], True])
    def test_a_message_without_a_usable_id_is_keyed_by_its_content(self, odd: Any) -> None:
        one, other, again = (f.text_message(text) | {"id": odd} for text in ("a", "b", "a"))
        found = split(f.messages(one, other, again))
        assert found[0].key == found[2].key != found[1].key

    def test_different_items_never_share_a_key(self) -> None:
        odd = ["a:b", "a", "b", "a%3Ab", "a~b", "a\x00", "a\ud800", "x" * 501, "x" * 502]
        messages = [f.text_message() | {"id": name} for name in odd]
        groups = [
            f.group_status("read", 1) | {"id": name, "status": state, "recipient_participant_user_id": who}
            for name in odd
            for state in odd
            for who in odd
        ]
        calls = [f.call() | {"id": name, "event": event} for name in odd for event in odd]
        found = split(f.messages(*messages), f.statuses(*groups), f.calls(*calls))
        assert len({event.key for event in found}) == len(found) == 9 + 9**3 + 9**2

    def test_an_id_that_looks_like_a_hashed_one_is_not_it(self) -> None:
        (hashed,) = split(f.messages(f.text_message() | {"id": "x" * 600}))
        imitation = hashed.key.removeprefix("message:")
        (other,) = split(f.messages(f.text_message() | {"id": imitation}))
        assert other.key != hashed.key

    def test_items_of_one_content_in_two_places_are_two_events(self) -> None:
        bodies = [
            f.body(f.messages({})),
            f.body(f.messages({}), account="another"),
            f.body(f.change("messages", phone_number_id="another", messages=[{}])),
            f.body(f.statuses({})),
            f.body(f.user_preferences({})),
            f.body(f.messages(None)),
            f.body(f.statuses(None)),
            f.body(f.account_update()),
            f.body(f.account_update(), account="another"),
            f.body(f.management("another", event="VERIFIED_ACCOUNT")),
        ]
        assert len({key for body in bodies for key in keys(body)}) == len(bodies)

    def test_the_time_of_an_entry_is_in_no_key(self) -> None:
        changes: list[Any] = [f.account_update(), f.messages({}), f.change("messages", errors=[{}]), "odd"]
        for change in changes:
            assert keys(f.body(change, time=1)) == keys(f.body(change, time=2)) == keys(f.body(change))
        odd = {"id": "1", "messaging": [1]}
        assert keys(f.batch(odd | {"time": 1})) == keys(f.batch(odd | {"time": 2})) == keys(f.batch(odd))


class TestKeysByContent:
    """What no ids tell apart: every difference is an event, and a repeat is none."""

    def test_each_refund_of_a_payment_is_an_event(self) -> None:
        refunds = [(), (f.refund(1, "pending", 1),), (f.refund(1, "completed", 2),)]
        second = (*refunds[-1], f.refund(2, "completed", 3))
        bodies = [
            f.body(f.statuses(f.payment_status(at=f.NOW + nth, transaction=f.transaction(*of))))
            for nth, of in enumerate([*refunds, second])
        ]
        assert len({key for body in bodies for key in keys(body)}) == len(bodies)
        assert keys(bodies[0]) == keys(bodies[0])

    def test_each_failure_of_a_payment_without_a_transaction_is_an_event(self) -> None:
        failures = [f.payment_status("failed", at=f.NOW + nth) for nth in range(2)]
        assert len({event.key for event in split(f.statuses(*failures, f.payment_status("captured")))}) == 3

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (
                f.statuses(f.status("failed", type="next", n=1)),
                f.statuses(f.status("failed", type="next", n=2)),
            ),
            (f.statuses(f.status("warned", n=1)), f.statuses(f.status("warned", n=2))),
            (
                f.statuses(f.status("RINGING", type="call"), field="calls"),
                f.statuses(f.status("RINGING", type="call", timestamp=str(f.NOW + 1)), field="calls"),
            ),
            (f.calls(f.call("connect")), f.calls(f.call("connect", timestamp=str(f.NOW + 1)))),
            (f.calls(f.call("media_update", n=1)), f.calls(f.call("media_update", n=2))),
        ],
        ids=[
            "a type of tomorrow",
            "a state of tomorrow",
            "a call's status",
            "a call",
            "an event of tomorrow",
        ],
    )
    def test_what_meta_promises_no_ids_for_is_told_apart_by_its_content(self, one: Any, other: Any) -> None:
        (first,), (second,) = split(one), split(other)
        assert first.key != second.key
        assert first.key.partition(":~")[0] == second.key.partition(":~")[0]
        assert first.key == split(one)[0].key

    def test_an_ordinary_status_is_known_by_its_ids_alone(self) -> None:
        again = f.status("read", timestamp=str(f.NOW + 60), pricing={"billable": True})
        (first,), (second,) = split(f.statuses(f.status("read"))), split(f.statuses(again))
        assert first.key == second.key == f"status:{f.wamid(1)}:read:"


@pytest.mark.parametrize("id_", ["wamid.A=", "a:b", "a%3Ab", "a~b%25", "%", "", "x" * 200])
def test_a_key_tells_the_id_of_its_message(id_: str) -> None:
    assert message_id_of(build_key(("status", id_, "read", "15550001111"))) == id_


@pytest.mark.parametrize(
    ("key", "ids"),
    [
        ("call:wacid.1:connect:~" + "a" * 64, "call:wacid.1:connect"),
        ("standby.status:wamid.1:captured::payment:~" + "0" * 64, "standby.status:wamid.1:captured::payment"),
        ("status:wamid.1:read:", None),
        ("status::~" + "a" * 64, None),
        ("account_update:~" + "a" * 64, None),
        ("history.message:1:2:~" + "a" * 64, None),
        ("call:wacid.1:connect:~tilde", None),
    ],
)
def test_only_statuses_and_calls_have_ids_beside_their_content(key: str, ids: str | None) -> None:
    assert ids_of(key) == ids
