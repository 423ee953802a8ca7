"""Meta's lists, one row each: what an item of a list is, its key, and whose it is. Pure: no I/O.

A new list of Meta's gets a row here. Ids that no other list has need a function in ``identity``, and another way of
naming the user one in ``participants``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.payload.identity import (
    PLAIN_MESSAGE_TYPES,
    Content,
    Ids,
    Item,
    build_key,
    call_ids,
    click_ids,
    history_ids,
    id_text,
    members_as_ids,
    message_ids,
    status_ids,
    storable,
)
from app.payload.participants import (
    Participant,
    call_participant,
    echo_participant,
    group_only,
    message_participant,
    named_participant,
    status_participant,
    user_id_update_participant,
)

ERRORS = "errors"
OTHER = "other"
UNKNOWN = "unknown"  # the type of a message or status that names none


def message_kind(_item: Item, _field: str) -> str:
    return "message"


def other_kind(_item: Item, _field: str) -> str:
    return OTHER


def status_kind(status: Item, field: str) -> str:
    """Return "status" for a sent message's; else what it is a status of: "payment_status", "call_status", ..."""
    type_ = status.get("type")
    if type_ in PLAIN_MESSAGE_TYPES:
        return "call_status" if field == "calls" else "status"
    return f"{storable(id_text(type_)) or UNKNOWN}_status"


@dataclass(frozen=True, slots=True)
class ItemKind:
    """One of Meta's lists whose items are events of their own."""

    ids: Callable[[Item], Ids]
    # (item, the business's own phone number) → the other side
    participant: Callable[[Item, str], Participant] = named_participant
    key_prefix: str = ""  # "": the name of the field
    own_fields: tuple[
        str, ...
    ] = ()  # here a key begins with the prefix alone; elsewhere with <field>.<prefix>
    # Of an item on one of the own fields; elsewhere it is OTHER
    kind: Callable[[Item, str], str] = other_kind
    type_member: str = ""  # the member that gives such an event its type
    own_type: bool = False  # its other events go by the list's name, not the field's


# In the order in which the lists of one change count
ITEM_KINDS = {
    "messages": ItemKind(message_ids, message_participant, "message", ("messages",), message_kind, "type"),
    "statuses": ItemKind(
        status_ids, status_participant, "status", ("messages", "calls"), status_kind, "status"
    ),
    "message_echoes": ItemKind(message_ids, echo_participant, "echo"),
    "calls": ItemKind(call_ids, call_participant, "call", ("calls",)),
    "groups": ItemKind(members_as_ids("group_id", "type", "request_id", "join_request_id"), group_only),
    "user_preferences": ItemKind(members_as_ids("user_id", "wa_id", "category", "value")),
    "user_id_update": ItemKind(members_as_ids(), user_id_update_participant),
    "automatic_events": ItemKind(members_as_ids("id", "event_name")),
    "history": ItemKind(history_ids),
    "user_actions": ItemKind(click_ids, own_type=True),
}
# A change that has none of the lists is one item
WHOLE_CHANGE = ItemKind(members_as_ids())


def item_kind(list_name: str) -> ItemKind:
    """Return the row of a list; "" and "errors" have none of their own."""
    return ITEM_KINDS.get(list_name, WHOLE_CHANGE)


def event_key(field: str, list_name: str, item: Any, content: Content) -> tuple[str, bool]:
    """Return the key of one item of a list ("" for a whole change) on a field, and whether ids alone make it.

    ``content`` gives the digest of the item with its entry, field and phone number.
    """
    if not isinstance(item, dict):
        return build_key((field, list_name) if list_name == ERRORS else (field,), content()), False
    kind = item_kind(list_name)
    ids = kind.ids(item)
    key = build_key((_key_prefix(kind, field), *ids.parts), "" if ids.complete else content())
    return key, ids.complete


def _key_prefix(kind: ItemKind, field: str) -> str:
    """Outside its own fields an item is another event, even with the same id."""
    if not kind.key_prefix:
        return field
    return kind.key_prefix if field in kind.own_fields else f"{field}.{kind.key_prefix}"
