"""Who a message goes to, and from which number. Pure: no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.graph import InvalidMessage

PHONE = re.compile(r"\+?[0-9]{5,17}")
USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,128}")  # a BSUID, or a parent's

Kind = Literal["phone", "user", "group"]


@dataclass(frozen=True, slots=True)
class Address:
    """A recipient, as a column each."""

    kind: Kind
    recipient: str

    def members(self) -> dict[str, str]:
        """Return the members of the request that name the recipient.

        Without the plus sign Meta may put the business's own country code in front of a number.
        """
        if self.kind == "phone":
            return {"recipient_type": "individual", "to": f"+{self.recipient.removeprefix('+')}"}
        if self.kind == "user":
            return {"recipient_type": "individual", "recipient": self.recipient}
        return {"recipient_type": "group", "to": self.recipient}


def parse(to: str) -> Address:
    """Read a phone number or user id that a handler gave; InvalidMessage if it is neither."""
    text = re.sub(r"[ ()\-]", "", to)
    if PHONE.fullmatch(text):
        return Address("phone", text.removeprefix("+"))
    if USER_ID.fullmatch(text):
        return Address("user", text)
    raise InvalidMessage("to= is neither a phone number with its country code nor a user id")


def of_item(kind: str, item: Any) -> Address | None:
    """Return whom a reply to this item goes to: the group, else the phone number, else the user id; None for nobody."""
    if not isinstance(item, Mapping):
        return None
    if group := _text(item, "group_id"):
        return Address("group", group)
    # A timeout looks like the event whose handler asked, which may have been a status
    is_status = kind.endswith("status") or (kind == "timeout" and "recipient_id" in item)
    names = ("recipient_id", "recipient_user_id") if is_status else ("from", "from_user_id")
    phone, user = (_text(item, name) for name in names)
    if phone and PHONE.fullmatch(phone):
        return Address("phone", phone.removeprefix("+"))
    return Address("user", user) if user else None


def _text(item: Mapping[str, Any], name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) and value else None
