"""What is posted to a target: the event as handlers see it, or in Meta's own shape. Pure: no I/O.

``docs/target-event.schema.json`` describes the first; a test holds what is sent against it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.handlers import Event
from app.targets.target import Target

EVENTS = "events"  # the type of a body of a target that joins
WHATSAPP = "whatsapp_business_account"
# The list of Meta's that an item of a kind stands in; other kinds say by their type
LISTS = {"message": "messages", "status": "statuses"}
LISTS_OF_FIELDS = {
    "calls": "calls", "smb_message_echoes": "message_echoes", "message_echoes": "message_echoes",
    "user_preferences": "user_preferences", "user_id_update": "user_id_update", "history": "history",
}  # fmt: skip


def body_of(events: Sequence[Event], target: Target, attempt: int, *, replayed: bool) -> dict[str, Any]:
    """Return what a target is posted: one event, or a list where the target joins."""
    if target.form == "raw":
        return raw_body(events)
    data = [_data(event, target, attempt, replayed) for event in events]
    first = events[0]
    if target.join is not None:
        return {"type": EVENTS, "timestamp": first.occurred_at.isoformat(), "data": {"events": data}}
    return {
        "type": f"{first.kind}.{first.type}",
        "timestamp": first.occurred_at.isoformat(),
        "data": data[0],
    }


def _data(event: Event, target: Target, attempt: int, replayed: bool) -> dict[str, Any]:
    """Return an event as handlers see it, in the shape that Standard Webhooks recommends."""
    content = {name: value for name, value in event.content.items() if name != "item"}
    return {
        "id": event.id,
        "key": event.key,
        "kind": event.kind,
        "type": event.type,
        "conversation": event.conversation,
        "occurred_at": event.occurred_at.isoformat(),
        "accepted_at": event.accepted_at.isoformat(),
        "late": event.late,
        "replayed": replayed,
        "attempt": attempt,
        "target": target.name,
        "text": event.text,
        "message_id": event.message_id,
        "sender": event.sender,
        "phone_number_id": event.phone_number_id,
        "field": event.field,
        "item": event.item,
        "content": content,
    }


def raw_body(events: Sequence[Event]) -> dict[str, Any]:
    """Return a body as Meta would send it: one item, or, of a burst, one in each entry."""
    beside: dict[str, Any] = {}
    for event in events:
        beside |= _members(event.content.get("beside") or {}, "body")
    return {"object": WHATSAPP, **beside, "entry": [_entry(event) for event in events]}


def _entry(event: Event) -> dict[str, Any]:
    content = event.content
    beside: Mapping[str, Any] = content.get("beside") or {}
    entry: dict[str, Any] = {"id": content.get("entry"), **_members(beside, "entry")}
    if "entry_time" in content:
        entry["time"] = content["entry_time"]
    value = content.get("value")
    list_name = _list_of(event)
    if list_name is None:  # the item is the whole value
        value = event.item
    elif isinstance(value, dict):
        value = {**value, list_name: [event.item]}
    change = {**_members(beside, "change"), "field": content.get("field"), "value": value}
    return {**entry, "changes": [change]}


def as_json(body: Any) -> str:
    """Return a body as it is signed and sent."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _list_of(event: Event) -> str | None:
    if event.kind.endswith("status"):
        return "statuses"
    return LISTS.get(event.kind) or LISTS_OF_FIELDS.get(event.field)


def _members(beside: Mapping[str, Any], part: str) -> dict[str, Any]:
    members = beside.get(part)
    return members if isinstance(members, dict) else {}
