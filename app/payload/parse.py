"""A webhook body → its events. Pure: no I/O.

Every item is an event, known or not; a body that cannot be read becomes one event that says so. What this
cannot see: where an object repeats a name, JSON readers keep the last of the two.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from math import isfinite
from typing import Any

from app.payload.identity import STATUSES, Item, canonical, group_participant, id_text, storable
from app.payload.items import CONTEXT_LIMIT, BodyItem, Change, UnreadableBody, items
from app.payload.kinds import ERRORS, OTHER, UNKNOWN, event_key, item_kind
from app.payload.participants import NO_PARTICIPANT, Contact, Participant, aliases

UNREADABLE = "unreadable"  # the type of the event that stands for a body that could not be read
MAX_ITEMS = 20_000  # of one body; Meta batches up to 1,000
ALL_CONTEXT_LIMIT = 16 * 1024 * 1024  # characters of context stored with all events of a body
LATEST = 100_000_000_000  # Unix seconds; what is greater is no time, or counts milliseconds

MAX_CODE = 2**31 - 1  # that a column of Postgres takes


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What a status says of a message that we sent; only of ordinary messages, not of payments or calls."""

    message_id: str
    participant: str  # "" outside groups
    status: str  # sent, failed, delivered, read, played
    occurred_at: int | None  # Unix seconds
    callback_data: str | None = None  # what was given to Meta with the message
    error_code: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """One item of a body. Every text in it is storable: no NUL, no lone surrogate, at most 500 characters."""

    index: int  # its position in the body, from 0
    kind: str  # message, status, payment_status, call_status, other, or <type>_status for a type of Meta's
    type: str
    key: str
    aliases: tuple[str, ...]  # every name of its conversation, the strongest first; () where it has none
    occurred_at: int | None  # Unix seconds; the entry's time for an item that has none
    # JSON, ASCII: {"entry": id, "entry_time", "field", "value": without its lists, "item", "beside": what else
    # stood in the body, the entry and the change}; "entry_time" and "beside" only if there were any
    payload: str
    status: StatusUpdate | None = None
    # Of an item without ids: what its state is a state of. None if it has a conversation and a time of its own
    subject: str | None = None
    has_own_time: bool = False
    entry_time: int | None = None  # Meta's time of the entry, Unix seconds
    change_notice: bool = False  # it tells that the user's names have changed

    @property
    def conversation(self) -> str | None:
        return self.aliases[0] if self.aliases else None

    @property
    def may_recur(self) -> bool:
        """Whether the same item may be a new event: nothing in it tells a repeat from a state that came back."""
        return self.subject is not None and not self.has_own_time


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """``unreadable`` says why a body could not be read; then ``events`` holds one event of that type."""

    events: list[ParsedEvent]
    unreadable: str | None = None
    links: tuple[tuple[str, ...], ...] = ()  # names of one user each, of users who have no event in the body


def parse(body: bytes) -> ParsedBody:
    """Split a body; never raises."""
    try:
        body_items = list(islice(items(_read(body)), MAX_ITEMS + 1))
        if len(body_items) > MAX_ITEMS:
            return unreadable_body(body, f"more items than {MAX_ITEMS}")
        if not body_items:
            return unreadable_body(body, "no item in it")
        limit = min(CONTEXT_LIMIT, ALL_CONTEXT_LIMIT // max(len(body_items), 1))
        events = [_event(index, item, limit) for index, item in enumerate(body_items)]
        return ParsedBody(events, links=_links(body_items, events))
    except UnreadableBody as error:
        return unreadable_body(body, str(error))
    except RecursionError:
        return unreadable_body(body, "nested too deeply")
    except Exception as error:  # a fault in here costs a dead letter, and does not stop the bodies after it
        return unreadable_body(body, f"{type(error).__name__} while splitting")


def unreadable_body(body: bytes, reason: str) -> ParsedBody:
    """Return the one event of a body that could not be read, or that Postgres refused."""
    payload = canonical({"entry": None, "field": None, "item": None, "unreadable": reason, "value": {}})
    key = f"{UNREADABLE}:{sha256(body).hexdigest()}"
    return ParsedBody([ParsedEvent(0, "other", UNREADABLE, key, (), None, payload)], reason)


def _read(body: bytes) -> Any:
    try:
        try:
            return json.loads(body)
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise
        except ValueError:  # an integer of more digits than int() takes
            return json.loads(body, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise UnreadableBody(f"not JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise UnreadableBody(f"not text: {error}") from error


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def _event(index: int, item: BodyItem, limit: int) -> ParsedEvent:
    change, list_name, raw = item
    kind = _kind(item)
    fields: Item = raw if isinstance(raw, dict) else {}
    participant, contact = _participant(item)
    item_json = canonical(raw)
    entry_time = _seconds(change.entry_time)
    own_time = _seconds(fields.get("timestamp"))
    occurred_at = entry_time if own_time is None else own_time
    key, complete = event_key(
        change.key_prefix, list_name, raw, partial(change.content, list_name, item_json)
    )
    names = aliases(change.account, participant, contact)
    has_own_time = own_time is not None
    return ParsedEvent(
        index,
        kind,
        _type(kind, item),
        key,
        names,
        occurred_at,
        _payload(change, item_json, contact, limit),
        _status_update(fields, occurred_at) if kind == "status" else None,
        None if complete or (has_own_time and names) else change.subject(list_name),
        has_own_time,
        entry_time,
        participant.change_notice,
    )


def _links(body_items: Sequence[BodyItem], events: Sequence[ParsedEvent]) -> tuple[tuple[str, ...], ...]:
    """Return the names of users that a body tells beside its events: in contacts, and of who writes in a group."""
    known = {event.aliases for event in events}
    links: dict[tuple[str, ...], None] = {}
    change = None
    for item in body_items:
        if item.change is not change and item.change.account:
            change = item.change
            links |= dict.fromkeys(change.contacts.links(change.account, known))
        if isinstance(item.raw, dict) and ("group_id" in item.raw or "recipient_type" in item.raw):
            participant, _ = _participant(item)
            names = aliases(item.change.account, participant._replace(group=""), None)
            if participant.group and len(names) > 1:
                links[names] = None
    return tuple(links)


def _participant(item: BodyItem) -> tuple[Participant, Contact | None]:
    """Return the other side of an item, and the contact that gives more of its names. Errors have none."""
    change, list_name, raw = item
    if not isinstance(raw, dict) or not change.account:
        return NO_PARTICIPANT, None
    participant = item_kind(list_name).participant(raw, change.own_phone)
    return participant, change.contacts.of(participant, alone=change.length == (1 if list_name else 0))


def _kind(item: BodyItem) -> str:
    row, field = item_kind(item.list_name), item.change.field
    return row.kind(item.raw, field) if isinstance(item.raw, dict) and field in row.own_fields else OTHER


def _type(kind: str, item: BodyItem) -> str:
    row = item_kind(item.list_name)
    if kind != OTHER:
        return storable(id_text(item.raw.get(row.type_member))) or UNKNOWN
    return item.list_name if row.own_type or item.list_name == ERRORS else item.change.kind


def _status_update(status: Item, occurred_at: int | None) -> StatusUpdate | None:
    message_id, state = status.get("id"), status.get("status")
    if not isinstance(message_id, str) or not message_id:
        return None
    if not isinstance(state, str) or state not in STATUSES:
        return None
    data = status.get("biz_opaque_callback_data")
    code, error = _first_error(status.get("errors"))
    return StatusUpdate(
        storable(message_id),
        storable(id_text(group_participant(status))),
        state,
        occurred_at,
        data if isinstance(data, str) else None,
        code,
        error,
    )


def _first_error(errors: Any) -> tuple[int | None, str]:
    """Return the code and the words of a status's first error."""
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return None, ""
    code = first.get("code")
    words = storable(id_text(first.get("title") or first.get("message")))
    is_code = isinstance(code, int) and abs(code) <= MAX_CODE
    return (code if is_code else None), words


def _seconds(timestamp: Any) -> int | None:
    """Return Meta's timestamp, a string or a number, as Unix seconds; None if it is no time."""
    if isinstance(timestamp, str):
        digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= len(str(LATEST))
        seconds = int(timestamp) if digits else -1
    elif type(timestamp) is int or (isinstance(timestamp, float) and isfinite(timestamp)):
        seconds = int(timestamp) if timestamp >= 0 else -1
    else:
        return None
    return seconds if 0 <= seconds <= LATEST else None


def _payload(change: Change, item_json: str, contact: Contact | None, limit: int) -> str:
    """Return the event as it is stored: its item whole, and around it what a handler may need."""
    context = change.context(contact, limit)
    around = '"context_omitted":true,' if context is None else change.around
    return (
        f'{{{around}"entry":{change.entry},"field":{change.field_json},'
        f'"item":{item_json},"value":{context or "{}"}}}'
    )
