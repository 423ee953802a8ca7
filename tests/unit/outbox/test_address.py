"""Who a message goes to."""

from typing import Any

import pytest

from app.graph import InvalidMessage
from app.outbox.address import Address, of_item, parse


@pytest.mark.parametrize(
    ("kind", "item", "address"),
    [
        ("message", {"from": "15550001", "from_user_id": "US.1"}, Address("phone", "15550001")),
        ("message", {"from_user_id": "US.1"}, Address("user", "US.1")),
        ("message", {"from": "15550001", "group_id": "G"}, Address("group", "G")),
        ("status", {"recipient_id": "15550001"}, Address("phone", "15550001")),
        ("status", {"recipient_user_id": "US.1"}, Address("user", "US.1")),
        ("other", {"event": "APPROVED"}, None),
        ("message", "nonsense", None),
    ],
)
def test_a_reply_goes_to_who_wrote(kind: str, item: Any, address: Address | None) -> None:
    assert of_item(kind, item) == address


def test_a_phone_number_is_written_with_a_plus_sign() -> None:
    assert Address("phone", "15550001").members() == {"recipient_type": "individual", "to": "+15550001"}
    assert Address("user", "US.1").members() == {"recipient_type": "individual", "recipient": "US.1"}
    assert Address("group", "G").members() == {"recipient_type": "group", "to": "G"}


@pytest.mark.parametrize("to", ["+1 555-000 (1)", "15550001"])
def test_a_phone_number_may_be_written_as_people_do(to: str) -> None:
    assert parse(to) == Address("phone", "15550001")


@pytest.mark.parametrize("to", ["", "Ada", "123", "+", "1" * 30, "us.1"])
def test_what_is_no_recipient_is_refused(to: str) -> None:
    with pytest.raises(InvalidMessage):
        parse(to)
